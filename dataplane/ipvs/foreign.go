package ipvs

import "context"

// askUpTo is up to how many services of ours the kernel is asked for those of others without a
// hint: the list has all of them.
const askUpTo = 1000

// Foreign tells of services that are not ours: the first few, as a person would read them, and how
// many there are. With more than 1,000 services it asks the kernel only if the last Set saw some.
func (d *Driver) Foreign(ctx context.Context, few int) (some []string, count int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.memory.alone && len(d.wishes) > askUpTo || !d.config.Kernel.Loaded() {
		return nil, 0, nil
	}
	services, err := d.config.Kernel.Services(ctx)
	if err != nil {
		return nil, 0, err
	}
	for _, s := range services {
		if d.config.Marks.own(s.Mark) {
			continue
		}
		count++
		if len(some) < few {
			some = append(some, s.String())
		}
	}
	return some, count, nil
}
