package mutate

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Text returns a manifest's text with one change of the kind that editors, copies and full disks
// make, and says which.
func Text(sample []byte, seed uint64) (text []byte, description string) {
	m := mutator{rand: rand.New(rand.NewPCG(seed, 0x7451))}
	lines := bytes.SplitAfter(bytes.Clone(sample), []byte("\n"))
	i, j := m.rand.IntN(len(lines)), m.rand.IntN(len(lines))
	switch m.rand.IntN(9) {
	case 0:
		n := m.rand.IntN(len(sample) + 1)
		return bytes.Clone(sample[:n]), fmt.Sprintf("cut off after %d bytes", n)
	case 1:
		return join(slices.Delete(lines, i, i+1)), fmt.Sprintf("line %d removed", i+1)
	case 2:
		return join(slices.Insert(lines, i, lines[j])), fmt.Sprintf("line %d copied before line %d", j+1, i+1)
	case 3:
		lines[i], lines[j] = lines[j], lines[i]
		return join(lines), fmt.Sprintf("lines %d and %d exchanged", i+1, j+1)
	case 4:
		lines[i] = append([]byte("\t"), lines[i]...)
		return join(lines), fmt.Sprintf("tab before line %d", i+1)
	case 5:
		lines[i] = append([]byte(" "), lines[i]...)
		return join(lines), fmt.Sprintf("space before line %d", i+1)
	case 6:
		n := m.rand.IntN(len(sample) + 1)
		junk := []byte(m.pick("\x00", "\xff\xfe", "{", "}", "]", "'", "\"", ":", "- ", "#", "&a ", "*a", "!!x ", "%", "|", "\u2028", "\r", "<<: ").(string))
		return slices.Insert(bytes.Clone(sample), n, junk...), fmt.Sprintf("%q inserted after %d bytes", junk, n)
	case 7:
		lines[i] = append([]byte("---\n"), lines[i]...)
		return join(lines), fmt.Sprintf("document marker before line %d", i+1)
	}
	flipped := bytes.Clone(sample)
	if len(flipped) == 0 {
		return flipped, "nothing"
	}
	n := m.rand.IntN(len(flipped))
	flipped[n] ^= 1 << m.rand.IntN(8)
	return flipped, fmt.Sprintf("bit flipped in byte %d", n)
}

func join(lines [][]byte) []byte { return bytes.Join(lines, nil) }
