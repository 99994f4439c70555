package badspecs

func badRoutes() map[string]Case {
	return map[string]Case{
		"route to no pool":          {Edits{route + ".serverPool": "web"}, Edits{route + ".serverPool": "viewer"}, "spec", "a route's serverPool"},
		"route without match":       {Edits{route + ".matches": List{}}, Edits{route + ".matches": List{Block{"pathPrefix": "/"}}}, route + ".matches", "1 to 8"},
		"prefix without slash":      {Edits{route + ".matches[0].pathPrefix": "dicom-web"}, Edits{route + ".matches[0].pathPrefix": "/dicom-web"}, route + ".matches[0].pathPrefix", "starts with /"},
		"prefix with query":         {Edits{route + ".matches[0].pathPrefix": "/a?b"}, Edits{route + ".matches[0].pathPrefix": "/a"}, route + ".matches[0].pathPrefix", "no space, ? or #"},
		"rewrite with fragment":     {Edits{route + ".rewrite.pathPrefix": "/a#b"}, Edits{route + ".rewrite.pathPrefix": "/a"}, route + ".rewrite.pathPrefix", "no space, ? or #"},
		"rewrite without prefix":    {Edits{route + ".rewrite": Block{}}, Edits{route + ".rewrite": Block{"pathPrefix": "/"}}, route + ".rewrite.pathPrefix", "is missing"},
		"header name with colon":    {Edits{route + ".requestHeaders.set[0].name": "X-Site:"}, Edits{route + ".requestHeaders.set[0].name": "X-Site"}, route + ".requestHeaders.set[0].name", "letters, digits and hyphens"},
		"header name with break":    {Edits{route + ".requestHeaders.set[0].name": "X\r\nY"}, Edits{route + ".requestHeaders.set[0].name": "X-Y"}, route + ".requestHeaders.set[0].name", "letters, digits and hyphens"},
		"header value with break":   {Edits{route + ".requestHeaders.set[0].value": "a\r\nb"}, Edits{route + ".requestHeaders.set[0].value": "a b"}, route + ".requestHeaders.set[0].value", "printable ASCII"},
		"header value ends blank":   {Edits{route + ".requestHeaders.set[0].value": "a "}, Edits{route + ".requestHeaders.set[0].value": "a"}, route + ".requestHeaders.set[0].value", "space"},
		"set Host":                  {Edits{route + ".requestHeaders.set[0].name": "Host"}, Edits{route + ".requestHeaders.set[0].name": "X-Host"}, route + ".requestHeaders.set[0].name", "cannot be set"},
		"set content-length":        {Edits{route + ".requestHeaders.set[0].name": "content-length"}, Edits{route + ".requestHeaders.set[0].name": "X-Length"}, route + ".requestHeaders.set[0].name", "cannot be set"},
		"set a header twice":        {Edits{route + ".requestHeaders.set[1]": Block{"name": "X-Site", "value": "b"}}, Edits{route + ".requestHeaders.set[1]": Block{"name": "X-Other", "value": "b"}}, route + ".requestHeaders.set[1]", "twice"},
		"remove Transfer-Encoding":  {Edits{route + ".requestHeaders.remove": List{"Transfer-Encoding"}}, Edits{route + ".requestHeaders.remove": List{"X-Debug"}}, route + ".requestHeaders.remove", "cannot be removed"},
		"remove a name with blank":  {Edits{route + ".requestHeaders.remove": List{"X Debug"}}, Edits{route + ".requestHeaders.remove": List{"X-Debug"}}, route + ".requestHeaders.remove[0]", "letters, digits and hyphens"},
		"two routes of one name":    {Edits{route[:len(route)-3] + "[1]": Block{"name": "dicomweb", "matches": List{Block{"pathPrefix": "/x"}}, "serverPool": "viewer"}}, Edits{route[:len(route)-3] + "[1]": Block{"name": "other", "matches": List{Block{"pathPrefix": "/x"}}, "serverPool": "viewer"}}, route[:len(route)-3] + "[1]", "twice"},
		"response headers not yet":  {Edits{route + ".responseHeaders": Block{"remove": List{"Server"}}}, Edits{}, route + ".responseHeaders", "did you mean requestHeaders"},
		"route name too long":       {Edits{route + ".name": "a123456789012345678901234567890123456789012345678901234567890123"}, Edits{route + ".name": "a12345678901234567890123456789012345678901234567890123456789012"}, route + ".name", "63"},
		"header without value":      {Edits{route + ".requestHeaders.set[0].value": Drop{}}, Edits{route + ".requestHeaders.set[0].value": "main"}, route + ".requestHeaders.set[0].value", "is missing"},
		"prefix is an encoded list": {Edits{route + ".matches[0].pathPrefix": List{"/a"}}, Edits{route + ".matches[0].pathPrefix": "/a"}, route + ".matches[0].pathPrefix", "a text"},
	}
}
