package badspecs

func badPools() map[string]Case {
	return map[string]Case{
		"no pools":                {Edits{"spec.serverPools": List{}}, Edits{"spec.serverPools": baseSpec()["serverPools"]}, "spec.serverPools", "1 to 64"},
		"pool without servers":    {Edits{pool + ".servers": List{}}, Edits{pool + ".servers": List{Block{"name": "a", "address": "192.0.2.11"}}}, pool + ".servers", "1 to 64"},
		"two servers of one name": {Edits{pool + ".servers[1].name": "pacs-a"}, Edits{pool + ".servers[1].name": "pacs-b"}, pool + ".servers[1]", "twice"},
		"server with port in it":  {Edits{srv + ".address": "10.0.0.11:8042"}, Edits{srv + ".address": "192.0.2.13"}, srv + ".address", "field port"},
		"server is loopback":      {Edits{srv + ".address": "127.0.0.1"}, Edits{srv + ".address": "192.0.2.13"}, srv + ".address", "loopback"},
		"server is link-local":    {Edits{srv + ".address": "169.254.0.9"}, Edits{srv + ".address": "192.0.2.13"}, srv + ".address", "link-local"},
		"server is multicast":     {Edits{srv + ".address": "239.1.1.1"}, Edits{srv + ".address": "192.0.2.13"}, srv + ".address", "unicast"},
		"server name with dot":    {Edits{srv + ".name": "pacs.a"}, Edits{srv + ".name": "pacs-a"}, srv + ".name", "hyphens"},
		"server port 0":           {Edits{web + ".servers[0].port": int64(0)}, Edits{web + ".servers[0].port": int64(8443)}, web + ".servers[0].port", "1 to 65535"},
		"server port as text":     {Edits{web + ".servers[0].port": "8443"}, Edits{web + ".servers[0].port": int64(8443)}, web + ".servers[0].port", "without quotes"},
		"negative weight":         {Edits{srv + ".weight": int64(-1)}, Edits{srv + ".weight": int64(0)}, srv + ".weight", "0 to 65535"},
		"weight too big":          {Edits{srv + ".weight": int64(65536)}, Edits{srv + ".weight": int64(65535)}, srv + ".weight", "0 to 65535"},
		"weight is a fraction":    {Edits{srv + ".weight": 1.5}, Edits{srv + ".weight": int64(2)}, srv + ".weight", "whole number"},
		"misspelt weight":         {Edits{srv + ".wieght": int64(5)}, Edits{srv + ".weight": int64(5)}, srv + ".wieght", "did you mean weight"},
		"pool port too big":       {Edits{web + ".port": int64(70000)}, Edits{web + ".port": int64(7000)}, web + ".port", "1 to 65535"},
		"servers is a block":      {Edits{pool + ".servers": Block{"name": "a"}}, Edits{pool + ".servers": List{Block{"name": "a", "address": "192.0.2.11"}}}, pool + ".servers", "a list"},
	}
}

func badChecks() map[string]Case {
	return map[string]Case{
		"unknown check type":        {Edits{echo + ".type": "PING"}, Edits{echo + ".type": "DICOMEcho"}, echo + ".type", "DICOMEcho"},
		"check without type":        {Edits{echo + ".type": Drop{}}, Edits{echo + ".type": "DICOMEcho"}, echo + ".type", "is missing"},
		"http with type DICOMEcho":  {Edits{echo + ".http": Block{"path": "/"}}, Edits{}, echo, "type: HTTP"},
		"dicomEcho with type HTTP":  {Edits{httpc + ".dicomEcho": Block{"calledAETitle": "A"}}, Edits{}, httpc, "type: DICOMEcho"},
		"DICOMEcho without titles":  {Edits{echo + ".dicomEcho": Drop{}}, Edits{echo + ".dicomEcho": Block{"calledAETitle": "TRUEPACS"}}, echo, "AE title"},
		"AE title missing":          {Edits{echo + ".dicomEcho": Block{}}, Edits{echo + ".dicomEcho": Block{"calledAETitle": "TRUEPACS"}}, echo + ".dicomEcho.calledAETitle", "is missing"},
		"AE title too long":         {Edits{echo + ".dicomEcho.calledAETitle": "TRUEPACSTRUEPACS1"}, Edits{echo + ".dicomEcho.calledAETitle": "TRUEPACSTRUEPACS"}, echo + ".dicomEcho.calledAETitle", "16"},
		"AE title with backslash":   {Edits{echo + ".dicomEcho.calledAETitle": `A\B`}, Edits{echo + ".dicomEcho.calledAETitle": "A B"}, echo + ".dicomEcho.calledAETitle", "backslash"},
		"AE title of blanks":        {Edits{echo + ".dicomEcho.calledAETitle": "   "}, Edits{echo + ".dicomEcho.calledAETitle": "ANY"}, echo + ".dicomEcho.calledAETitle", "space"},
		"AE title with umlaut":      {Edits{echo + ".dicomEcho.callingAETitle": "RÖNTGEN"}, Edits{echo + ".dicomEcho.callingAETitle": "ROENTGEN"}, echo + ".dicomEcho.callingAETitle", "ASCII"},
		"AE title with end blank":   {Edits{echo + ".dicomEcho.callingAETitle": "TP "}, Edits{echo + ".dicomEcho.callingAETitle": "TP"}, echo + ".dicomEcho.callingAETitle", "space"},
		"timeout beyond period":     {Edits{echo + ".timeoutSeconds": int64(6), echo + ".periodSeconds": int64(5)}, Edits{echo + ".timeoutSeconds": int64(5), echo + ".periodSeconds": int64(5)}, echo, "shorter timeout"},
		"period 0":                  {Edits{echo + ".periodSeconds": int64(0)}, Edits{echo + ".periodSeconds": int64(1)}, echo + ".periodSeconds", "1 to 3600"},
		"fast period too short":     {Edits{echo + ".fastPeriodMilliseconds": int64(10)}, Edits{echo + ".fastPeriodMilliseconds": int64(50)}, echo + ".fastPeriodMilliseconds", "50 to 60000"},
		"threshold 0":               {Edits{echo + ".unhealthyThreshold": int64(0)}, Edits{echo + ".unhealthyThreshold": int64(1)}, echo + ".unhealthyThreshold", "1 to 100"},
		"healthy threshold 101":     {Edits{echo + ".healthyThreshold": int64(101)}, Edits{echo + ".healthyThreshold": int64(100)}, echo + ".healthyThreshold", "1 to 100"},
		"check port 0":              {Edits{echo + ".port": int64(0)}, Edits{echo + ".port": int64(104)}, echo + ".port", "1 to 65535"},
		"five checks":               {Edits{pool + ".healthChecks": Checks(5)}, Edits{pool + ".healthChecks": Checks(4)}, pool + ".healthChecks", "4"},
		"path without slash":        {Edits{httpc + ".http.path": "healthz"}, Edits{httpc + ".http.path": "/healthz"}, httpc + ".http.path", "starts with /"},
		"path with space":           {Edits{httpc + ".http.path": "/health check"}, Edits{httpc + ".http.path": "/health%20check"}, httpc + ".http.path", "no space"},
		"host with line break":      {Edits{httpc + ".http.host": "a\nX: 1"}, Edits{httpc + ".http.host": "a"}, httpc + ".http.host", "host name"},
		"status 99":                 {Edits{httpc + ".http.expectedStatuses": List{int64(99)}}, Edits{httpc + ".http.expectedStatuses": List{int64(200)}}, httpc + ".http.expectedStatuses[0]", "100 to 599"},
		"status twice":              {Edits{httpc + ".http.expectedStatuses": List{int64(200), int64(200)}}, Edits{httpc + ".http.expectedStatuses": List{int64(200)}}, httpc + ".http.expectedStatuses[1]", "twice"},
		"empty expected body":       {Edits{httpc + ".http.expectedBody": ""}, Edits{httpc + ".http.expectedBody": "DB-OK"}, httpc + ".http.expectedBody", "1 to 1024 characters"},
		"check is a text":           {Edits{pool + ".healthChecks": List{"TCP"}}, Edits{pool + ".healthChecks": List{Block{"type": "TCP"}}}, pool + ".healthChecks[0]", "block of fields"},
		"AE title that is a number": {Edits{echo + ".dicomEcho.calledAETitle": int64(104)}, Edits{echo + ".dicomEcho.calledAETitle": "104"}, echo + ".dicomEcho.calledAETitle", "in quotes"},
	}
}
