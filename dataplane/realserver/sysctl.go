package realserver

// Values are the settings of an interface that decide about ARP, and the check of senders
// (Documentation/networking/ip-sysctl.rst of the kernel).
type Values struct {
	// ArpIgnore is arp_ignore: 0 answers for every address of the host on every interface.
	ArpIgnore int `json:"arpIgnore"`
	// ArpAnnounce is arp_announce: 0 asks with any address of the host as the sender's.
	ArpAnnounce int `json:"arpAnnounce"`
	// RPFilter is rp_filter: 1 drops packets whose answer would leave by another interface. It is
	// changed on tunnel devices only.
	RPFilter int `json:"rpFilter,omitempty"`
}

// Sysctls reads and writes these settings of interfaces. Errors are or wrap the kernel's
// syscall.Errno.
type Sysctls interface {
	// Get returns the settings of the interface with that number.
	Get(index int) (Values, error)
	// Set writes them.
	Set(index int, v Values) error
	// All returns the host-wide settings. The kernel obeys the larger one of these and the
	// interface's (IN_DEV_MAXCONF, linux/inetdevice.h).
	All() (Values, error)
	// Boot identifies the running system: settings of an interface do not outlive it.
	Boot() string
}

// quiet tells whether arp_ignore keeps a host silent about addresses on lo: 1 and 2 answer for
// addresses of the asked interface only, 3 never for addresses of scope host, which is ours, 8
// never. The kernel takes 4 to 7 for 0.
func quiet(arpIgnore int) bool {
	return arpIgnore == 1 || arpIgnore == 2 || arpIgnore == 3 || arpIgnore == 8
}

// needed returns the settings that an interface must get: its own where they are good enough.
func needed(now Values) Values {
	want := Values{ArpIgnore: 1, ArpAnnounce: 2, RPFilter: now.RPFilter}
	if quiet(now.ArpIgnore) {
		want.ArpIgnore = now.ArpIgnore
	}
	return want
}

// effective returns what the kernel obeys.
func effective(all, own Values) Values {
	return Values{
		ArpIgnore:   max(all.ArpIgnore, own.ArpIgnore),
		ArpAnnounce: max(all.ArpAnnounce, own.ArpAnnounce),
	}
}
