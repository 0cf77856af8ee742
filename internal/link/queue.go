package link

import "sync"

const (
	smallBlock = 4 << 10
	bigBlock   = 64 << 10
)

// block is a piece of a queue.
type block struct {
	b    []byte
	r, w int
}

func (k *block) bytes() []byte { return k.b[k.r:k.w] }

var blocks = sync.Pool{New: func() any { return &block{b: make([]byte, bigBlock)} }}

func newBlock(size int) *block {
	if size <= smallBlock {
		return &block{b: make([]byte, smallBlock)}
	}
	k := blocks.Get().(*block)
	k.r, k.w = 0, 0
	return k
}

func (k *block) free() {
	if len(k.b) == bigBlock {
		blocks.Put(k)
	}
}

// queue is bytes that wait for a reader; how many there may be is the window's
// business.
type queue struct {
	blocks []*block
	n      int
}

func (q *queue) add(b []byte) {
	q.n += len(b)
	for len(b) > 0 {
		var last *block
		if len(q.blocks) > 0 {
			last = q.blocks[len(q.blocks)-1]
		}
		if last == nil || last.w == len(last.b) {
			last = newBlock(q.n)
			q.blocks = append(q.blocks, last)
		}
		n := copy(last.b[last.w:], b)
		last.w += n
		b = b[n:]
	}
}

// pop takes the first block; its bytes are no longer of the queue.
func (q *queue) pop() *block {
	k := q.blocks[0]
	q.blocks[0] = nil
	q.blocks = q.blocks[1:]
	q.n -= k.w - k.r
	return k
}

func (q *queue) read(b []byte) int {
	total := 0
	for len(b) > 0 && q.n > 0 {
		k := q.blocks[0]
		n := copy(b, k.bytes())
		k.r += n
		q.n -= n
		total += n
		b = b[n:]
		if k.r == k.w {
			q.blocks[0] = nil
			q.blocks = q.blocks[1:]
			k.free()
		}
	}
	return total
}

func (q *queue) clear() {
	for _, k := range q.blocks {
		k.free()
	}
	*q = queue{}
}
