package setup_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/realserver/setup"
)

// There is no PowerShell to parse the script. These tests hold what its text can show: strings,
// comments and brackets end where they should, and it calls nothing but its own functions and cmdlets
// that are known.

// cmdlets are those of Windows Server 2019 that the script may call.
const cmdlets = `Add-Type ConvertFrom-Json ConvertTo-Json Disable-NetAdapter Disable-NetAdapterBinding Enable-NetAdapter ForEach-Object
Get-Content Get-NetAdapter Get-NetFirewallRule Get-NetIPAddress Get-NetIPInterface Get-NetRoute Join-Path New-Item New-NetFirewallRule
New-NetIPAddress New-Object Out-Null Remove-Item Remove-NetFirewallRule Remove-NetIPAddress Rename-NetAdapter Select-Object Set-Content
Set-DnsClient Set-NetIPAddress Set-NetIPInterface Sort-Object Start-Sleep Test-Path Where-Object Write-Output`

// code returns PowerShell without comments and the content of strings, or what does not end.
func code(script string) (text, open string) {
	var b strings.Builder
	for rest := script; rest != ""; {
		var begin, end string
		switch {
		case strings.HasPrefix(rest, "@'\n"):
			begin, end = "@'\n", "\n'@"
		case strings.HasPrefix(rest, "#"):
			begin, end = "#", "\n"
		case rest[0] == '\'' || rest[0] == '"':
			begin, end = rest[:1], rest[:1]
		default:
			b.WriteByte(rest[0])
			rest = rest[1:]
			continue
		}
		inside, after, found := strings.Cut(rest[len(begin):], end)
		if !found || len(begin) == 1 && begin != "#" && strings.Contains(inside, "\n") {
			return b.String(), begin + inside
		}
		if begin == `"` { // what a string calls is called too
			b.WriteString(strings.Join(regexp.MustCompile(`\$\([^)]*\)`).FindAllString(inside, -1), " "))
		}
		if end == "\n" {
			b.WriteByte('\n')
		} else {
			b.WriteString("''")
		}
		rest = after
	}
	return b.String(), ""
}

// unbalanced returns the first bracket that does not fit, 0 if all do.
func unbalanced(text string) rune {
	closes := map[rune]rune{')': '(', ']': '[', '}': '{'}
	var stack []rune
	for _, c := range text {
		switch {
		case strings.ContainsRune("([{", c):
			stack = append(stack, c)
		case closes[c] != 0:
			if len(stack) == 0 || stack[len(stack)-1] != closes[c] {
				return c
			}
			stack = stack[:len(stack)-1]
		}
	}
	if len(stack) > 0 {
		return stack[0]
	}
	return 0
}

func windowsScripts(t *testing.T) map[string]string {
	t.Helper()
	applies, err := setup.Script(setup.Windows, specs()["loopback"])
	if err != nil {
		t.Fatal(err)
	}
	removes, err := setup.Removal(setup.Windows)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"script": applies, "removal": removes}
}

func TestWindowsTextHoldsTogether(t *testing.T) {
	for name, script := range windowsScripts(t) {
		text, open := code(script)
		if open != "" {
			t.Errorf("%s: a string does not end: %.60q", name, open)
		}
		if c := unbalanced(text); c != 0 {
			t.Errorf("%s: bracket %c does not fit", name, c)
		}
		for i, c := range []byte(script) {
			if c > 126 || c < ' ' && c != '\n' {
				t.Fatalf("%s: byte %d is %#x; Windows reads files without BOM in its own code page", name, i, c)
			}
		}
		if !strings.Contains(script, "NOT YET TESTED ON WINDOWS") {
			t.Errorf("%s does not say that it is untested", name)
		}
	}
}

func TestWindowsCallsWhatExists(t *testing.T) {
	for name, script := range windowsScripts(t) {
		text, _ := code(script)
		known := strings.Fields(cmdlets)
		for _, f := range regexp.MustCompile(`(?m)^function ([A-Z][A-Za-z-]+)`).FindAllStringSubmatch(text, -1) {
			if slices.Contains(known, f[1]) {
				t.Errorf("%s: function %s is there twice or hides a cmdlet", name, f[1])
			}
			known = append(known, f[1])
		}
		calls := regexp.MustCompile(`\b[A-Z][a-z]+-[A-Z][A-Za-z]+\b`).FindAllString(text, -1)
		if len(calls) < 50 {
			t.Errorf("%s: only %d calls are seen", name, len(calls))
		}
		for _, call := range calls {
			if !slices.Contains(known, call) {
				t.Errorf("%s: %s is neither a function of the script nor a known cmdlet", name, call)
			}
		}
	}
}

// TestWindowsTextIsJudged: what the tests above look for is found where it is.
func TestWindowsTextIsJudged(t *testing.T) {
	for text, want := range map[string]bool{
		"f 'a' # it's\n": true, "f 'a\n'": false, "f \"$(g)\"": true, "@'\n it's {\n'@": true, "@'\n it's": false, "{ ( }": false, "{ '}' }": true, "}": false,
	} {
		rest, open := code(text)
		if got := open == "" && unbalanced(rest) == 0; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
