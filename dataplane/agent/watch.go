package agent

import "context"

// Watcher tells of changes of the host's interfaces, addresses and packet filter, whoever made them.
type Watcher interface {
	// Watch calls changed some time after each change, once for several, until ctx ends. It may
	// call it without a change, and for changes of this process. An error says why it cannot watch.
	Watch(ctx context.Context, changed func()) error
}

// watch makes a pass follow each change until ctx ends. A pass that writes makes one more follow,
// which finds all as it should be, writes nothing and ends that.
func (a *Agent) watch(ctx context.Context) {
	if err := a.cfg.Watcher.Watch(ctx, a.Wake); err != nil && ctx.Err() == nil {
		a.cfg.Log.Error(err, "changes by others are not watched, they are found and undone by the next look", "every", a.cfg.Resync.String())
	}
}
