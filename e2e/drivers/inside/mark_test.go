//go:build machine

package inside

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/truepacs/balancer/dataplane/nft"
)

// TestMark gives the host the table that the file named by DESIRED describes, through the driver,
// and leaves it so; then it logs what the table has counted.
func TestMark(t *testing.T) {
	var desired nft.Desired
	if path := os.Getenv("DESIRED"); path != "" {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &desired); err != nil {
			t.Fatal(err)
		}
	}
	driver := nft.New(nft.Config{Kernel: nft.Netfilter{}})
	check(t, driver.Set(t.Context(), desired))
	counters, err := driver.Counters(t.Context())
	check(t, err)
	t.Logf("counters: %+v", counters)
}
