package eventloop

import (
	"sync"
	"sync/atomic"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// Task is work that another goroutine gives to a loop.
type Task interface {
	Run(*Loop)
}

// call is a function as a task; converting to it allocates nothing.
type call func()

func (c call) Run(*Loop) { c() }

// Post has a task run on the loop, in order, soon. It may be called from any goroutine, the loop's own included.
// false: the loop has ended and the task will not run.
func (l *Loop) Post(t Task) bool { return l.inbox.post(t, handed{}) }

// Do is Post of a function.
func (l *Loop) Do(f func()) bool { return l.Post(call(f)) }

// inbox is what others have given to a loop. A loop that is awake finds it by itself; only one that is parked
// is woken, by a system call.
type inbox struct {
	wake int
	some atomic.Bool

	mu     sync.Mutex
	tasks  []Task
	conns  []handed
	parked bool
	ended  bool

	running  []Task // taken out, being run
	arriving []handed
}

// post adds a task, or if it is nil, a connection.
func (b *inbox) post(t Task, c handed) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return false
	}
	if t != nil {
		b.tasks = append(b.tasks, t)
	} else {
		b.conns = append(b.conns, c)
	}
	b.some.Store(true)
	if b.parked {
		b.parked = false
		_, _ = nonblock.Write(b.wake, one[:])
	}
	return true
}

// one is what an eventfd is written with: the number 1, in any byte order at least 1.
var one = [8]byte{1, 0, 0, 0, 0, 0, 0, 0}

// sleep announces that the loop will park; false: it must not, there is work.
func (b *inbox) sleep() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parked = !b.some.Load()
	return b.parked
}

func (b *inbox) awake() {
	b.mu.Lock()
	b.parked = false
	b.mu.Unlock()
}

// run runs what is there. What a mistake interrupted goes on with the next call.
func (b *inbox) run(l *Loop) {
	if len(b.running)+len(b.arriving) == 0 && b.some.Load() {
		b.mu.Lock()
		b.tasks, b.running = b.running[:0], b.tasks
		b.conns, b.arriving = b.arriving[:0], b.conns
		b.some.Store(false)
		b.mu.Unlock()
	}
	b.runTasks(l)
	b.runArriving(l)
}

func (b *inbox) runTasks(l *Loop) {
	all := b.running
	for i, t := range all {
		all[i], b.running = nil, all[i+1:]
		t.Run(l)
	}
	b.running = all[:0]
}

func (b *inbox) runArriving(l *Loop) {
	all := b.arriving
	for i, c := range all {
		all[i], b.arriving = handed{}, all[i+1:]
		c.arrive(l)
	}
	b.arriving = all[:0]
}

// end closes the inbox if it is empty; false: there is more to run.
func (b *inbox) end() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = !b.some.Load() && len(b.running)+len(b.arriving) == 0
	return b.ended
}
