package health

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestValidate(t *testing.T) {
	dicom := DICOMCheck{CalledAETitle: "A", CallingAETitle: "B"}
	cases := map[string]struct {
		check Check
		field string // named in the error; empty: valid
	}{
		"tcp":               {Check{Type: TCP, Port: 104}, ""},
		"http":              {Check{Type: HTTP, Port: 80}, ""},
		"http, all set":     {Check{Type: HTTP, Port: 80, HTTP: HTTPCheck{Method: "GET", Path: "/a?b=c", Host: "pacs.example.org:80", ExpectedStatuses: []int{200, 401}, ExpectedBody: "OK"}}, ""},
		"dicom":             {Check{Type: DICOMEcho, Port: 104, DICOM: dicom}, ""},
		"no port":           {Check{Type: TCP}, "port"},
		"no type":           {Check{Port: 1}, "type"},
		"negative period":   {Check{Type: TCP, Port: 1, Period: -time.Second}, "periodSeconds"},
		"negative rise":     {Check{Type: TCP, Port: 1, Rise: -1}, "healthyThreshold"},
		"no called":         {Check{Type: DICOMEcho, Port: 104, DICOM: DICOMCheck{CallingAETitle: "B"}}, "dicomEcho.calledAETitle"},
		"bad calling":       {Check{Type: DICOMEcho, Port: 104, DICOM: DICOMCheck{CalledAETitle: "A", CallingAETitle: `B\C`}}, "dicomEcho.callingAETitle"},
		"post":              {Check{Type: HTTP, Port: 80, HTTP: HTTPCheck{Method: "POST"}}, "http.method"},
		"head with body":    {Check{Type: HTTP, Port: 80, HTTP: HTTPCheck{Method: "HEAD", ExpectedBody: "x"}}, "http.expectedBody"},
		"relative path":     {Check{Type: HTTP, Port: 80, HTTP: HTTPCheck{Path: "healthz"}}, "http.path"},
		"path splits lines": {Check{Type: HTTP, Port: 80, HTTP: HTTPCheck{Path: "/ HTTP/1.1\r\nX: y"}}, "http.path"},
		"host splits lines": {Check{Type: HTTP, Port: 80, HTTP: HTTPCheck{Host: "a\r\nX: y"}}, "http.host"},
		"interim status":    {Check{Type: HTTP, Port: 80, HTTP: HTTPCheck{ExpectedStatuses: []int{100}}}, "http.expectedStatuses"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := Target{Key: "pool/a", Address: netip.MustParseAddr("192.0.2.1"), Checks: []Check{tc.check}}.Validate()
			if (err == nil) != (tc.field == "") {
				t.Fatalf("got %v", err)
			}
			if err != nil && (!errors.Is(err, ErrInvalidCheck) || !strings.Contains(err.Error(), "healthChecks[0]."+tc.field)) {
				t.Errorf("%v does not name healthChecks[0].%s", err, tc.field)
			}
		})
	}
	if err := (Target{Key: "a"}).Validate(); !errors.Is(err, ErrInvalidCheck) {
		t.Errorf("without address: %v", err)
	}
}
