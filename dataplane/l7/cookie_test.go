package l7_test

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

func cookieServer(t *testing.T, name string) string {
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %q", name, r.Header["Cookie"])
	})
}

func TestCookiePersistence(t *testing.T) {
	r := newRig(t, l7.Config{}, cookieServer(t, "a"), cookieServer(t, "b"), cookieServer(t, "c"))
	r.web().Cookie = &model.Cookie{Name: "TPSERVER"}
	r.apply()
	c := r.client()
	res, err := c.Get(r.url())
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	set := res.Cookies()
	if len(set) != 1 {
		t.Fatalf("cookies %v", set)
	}
	k := set[0]
	if k.Name != "TPSERVER" || len(k.Value) != 16 || k.Path != "/" || !k.HttpOnly || k.Secure || k.SameSite != http.SameSiteLaxMode || k.MaxAge != 0 {
		t.Errorf("cookie %v", k)
	}
	if strings.Contains(k.Value, "127") {
		t.Errorf("cookie %v names the address", k)
	}
	ask := func(cookies ...string) (body string, set []*http.Cookie) {
		req, _ := http.NewRequest("GET", r.url(), nil)
		for _, v := range cookies {
			req.Header.Add("Cookie", v)
		}
		res, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		b := make([]byte, 200)
		n, _ := res.Body.Read(b)
		return string(b[:n]), res.Cookies()
	}
	for range 6 {
		if body, set := ask("x=1; TPSERVER=" + k.Value + ";y=2"); body != `a ["x=1; y=2"]` && body != `b ["x=1; y=2"]` && body != `c ["x=1; y=2"]` || len(set) > 0 {
			t.Fatalf("%s %v", body, set)
		}
	}
	home, _ := ask("TPSERVER=" + k.Value)
	for range 6 {
		if body, set := ask("TPSERVER=\"" + k.Value + "\""); body != home || len(set) > 0 {
			t.Fatalf("%s, was %s, %v", body, home, set)
		}
	}
	if body, set := ask("a=1", "TPSERVER="+k.Value, "b=2"); body[:1] != home[:1] || !strings.HasSuffix(body, `["a=1" "b=2"]`) || len(set) > 0 {
		t.Errorf("several fields: %s %v", body, set)
	}
	if body, set := ask("TPSERVER=0123456789abcdef"); len(set) != 1 || !strings.HasSuffix(body, "[]") {
		t.Errorf("unknown token: %s %v", body, set)
	}
	if body, set := ask("XTPSERVER=1; tpserver=2"); len(set) != 1 || !strings.HasSuffix(body, `["XTPSERVER=1; tpserver=2"]`) {
		t.Errorf("others' cookies: %s %v", body, set)
	}
	server := map[string]string{"a": "s1", "b": "s2", "c": "s3"}[home[:1]]
	r.engine.SetHealth("main", server, false)
	body, set := ask("TPSERVER=" + k.Value)
	if body[:1] == home[:1] || len(set) != 1 || set[0].Value == k.Value {
		t.Errorf("unhealthy server: %s %v", body, set)
	}
	r.engine.SetHealth("main", server, true)
	if body, set := ask("TPSERVER=" + k.Value); body != home || len(set) > 0 {
		t.Errorf("healthy again: %s %v", body, set)
	}
}

// Weight 0 takes no new clients and keeps those it has.
func TestCookieOfServerWithoutWeight(t *testing.T) {
	r := newRig(t, l7.Config{}, cookieServer(t, "a"), cookieServer(t, "b"))
	r.web().Cookie = &model.Cookie{Name: "K"}
	r.apply()
	jar, _ := cookiejar.New(nil)
	c := r.client()
	c.Jar = jar
	_, home := get(t, c, r.url())
	r.proxy.Pools[0].Servers[strings.Index("ab", home[:1])].Weight = 0
	r.apply()
	fresh := r.client()
	for range 6 {
		if _, body := get(t, c, r.url()); body != home {
			t.Fatalf("client of %s came to %s", home, body)
		}
		if _, body := get(t, fresh, r.url()); body == home {
			t.Fatalf("new client came to %s", body)
		}
	}
}

// Two pools behind one host keep one cookie each: neither forgets its server because of the other.
func TestCookiesOfSeveralPools(t *testing.T) {
	r := newRig(t, l7.Config{}, cookieServer(t, "v1"), cookieServer(t, "v2"))
	r.proxy.Pools = append(r.proxy.Pools, poolOf("archive", cookieServer(t, "a1"), cookieServer(t, "a2")))
	r.web().Cookie = &model.Cookie{Name: "K"}
	r.web().Routes = []model.Route{{Name: "d", PathPrefixes: []string{"/d"}, Pool: "archive"}}
	r.apply()
	jar, _ := cookiejar.New(nil)
	c := r.client()
	c.Jar = jar
	_, viewer := get(t, c, r.url())
	_, archive := get(t, c, r.url()+"/d")
	for range 6 {
		if _, b := get(t, c, r.url()); b != viewer {
			t.Fatalf("viewer %s, was %s", b, viewer)
		}
		if _, b := get(t, c, r.url()+"/d"); b != archive || !strings.HasSuffix(b, "[]") {
			t.Fatalf("archive %s, was %s", b, archive)
		}
	}
}
