package paths

import "testing"

func TestLasting(t *testing.T) {
	const rules = `	map services4 {
		elements = { 192.0.2.100 . 6 . 7007 counter : 0x54f4a6d9 }
	}
	set through4 {
		flags dynamic,timeout
		elements = { 192.0.2.100 . 02:7b:00:00:00:04 . 192.0.2.2 timeout 4s,
			     192.0.2.100 . 02:7b:00:00:00:0b . 192.0.2.2 timeout 4s }
	}
`
	const want = `	map services4 {
		elements = { 192.0.2.100 . 6 . 7007 counter : 0x54f4a6d9 }
	}
	set through4 {
		flags dynamic,timeout
	}
`
	if got := Lasting(rules); got != want {
		t.Errorf("%s", got)
	}
}
