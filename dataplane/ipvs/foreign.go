package ipvs

import "context"

// Foreign tells of services that are not ours: the first few, as a person would read them, and how
// many there are. It asks the kernel only if the last Set saw some.
func (d *Driver) Foreign(ctx context.Context, few int) (some []string, count int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.memory.foreign || !d.config.Kernel.Loaded() {
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
