package pacs

import "testing"

func TestCorpusIsLargeEnough(t *testing.T) {
	corpus, err := Corpus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	hashes, syntaxes, pixels := map[string]bool{}, map[string]int{}, 0
	for _, i := range corpus {
		hashes[i.Hash] = true
		syntaxes[i.TransferSyntax]++
		if i.Hash[0] == 'p' {
			pixels++
		}
	}
	t.Logf("%d instances, %d with pixels, %d distinct hashes, %d transfer syntaxes: %v", len(corpus), pixels, len(hashes), len(syntaxes), syntaxes)
	if len(corpus) < 60 || pixels < 60 {
		t.Errorf("%d instances, %d with pixels: at least 60 are needed", len(corpus), pixels)
	}
}
