package eventloop

// BlockSize is how many bytes a block holds: one TLS record's worth.
const BlockSize = 16 << 10

// Block is memory that a connection borrows while it holds bytes.
type Block [BlockSize]byte

// spareBlocks is how many blocks a loop keeps when nobody needs them (1 MiB).
const spareBlocks = 64

type blocks struct {
	spare []*Block
	lent  int
}

// TakeBlock lends a block. Its contents are what the last borrower left: use only what was written to it.
func (l *Loop) TakeBlock() *Block {
	l.blocks.lent++
	if n := len(l.blocks.spare); n > 0 {
		b := l.blocks.spare[n-1]
		l.blocks.spare = l.blocks.spare[:n-1]
		return b
	}
	return new(Block)
}

// GiveBlock takes a block back.
func (l *Loop) GiveBlock(b *Block) {
	l.blocks.lent--
	if len(l.blocks.spare) < spareBlocks {
		l.blocks.spare = append(l.blocks.spare, b)
	}
}

// BlocksLent is how many blocks are out.
func (l *Loop) BlocksLent() int { return l.blocks.lent }
