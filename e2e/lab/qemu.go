package lab

import (
	"fmt"
	"strconv"

	"github.com/truepacs/balancer/e2e/lab/guest"
)

// commandLine of the kernel: the serial port is slow, so it says little; a panic
// ends the machine; interface names are the lab's to give.
const commandLine = "console=ttyS0 loglevel=4 panic=-1 oops=panic mitigations=off random.trust_cpu=on net.ifnames=0 " +
	"systemd.show_status=0 systemd.unified_cgroup_hierarchy=1 rdinit=/init no_timer_check"

// arguments are QEMU's. The machine has no PIT: on a loaded host the kernel would
// measure its processor's clock against it and be wrong by a factor of ten, where
// the HPET serves well. Paths are relative to the lab's folder where they name
// sockets, whose paths must be short.
func (m *Machine) arguments() []string {
	args := []string{
		"qemu-system-x86_64", "-name", m.name, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35,pit=off", "-accel", m.lab.opts.Accelerator, "-cpu", "max",
		"-m", strconv.Itoa(m.spec.MemoryMB), "-smp", strconv.Itoa(m.spec.CPUs),
		"-rtc", "base=utc,clock=host",
		"-chardev", "file,id=console,append=on,path=" + m.name + ".console", "-serial", "chardev:console",
		"-qmp", "unix:" + m.name + ".qmp,server=on,wait=off",
		"-kernel", m.kernel.Image, "-initrd", m.file("initramfs"), "-append", commandLine,
		"-device", "virtio-rng-pci",
	}
	args = append(args, disk(guest.SerialModules, m.kernel.Disk, "readonly=on,file.locking=off")...)
	if m.spec.Disk > 0 {
		args = append(args, disk(guest.SerialData, m.file("data"), "discard=unmap")...)
	}
	if m.spec.RootDisk != "" {
		args = append(args, disk(guest.SerialRoot, m.file("root"), "discard=unmap")...)
	}
	args = append(args, nic("mgmt", m.tap, m.management.MAC)...)
	for i, p := range m.ports {
		args = append(args, nic(nicID(i), p.link, p.nic.MAC)...)
	}
	return args
}

func disk(serial, path, options string) []string {
	return []string{
		"-drive", fmt.Sprintf("if=none,id=%s,format=raw,cache=writeback,%s,file=%s", serial, options, path),
		"-device", fmt.Sprintf("virtio-blk-pci,drive=%s,serial=%s", serial, serial),
	}
}

func nicID(index int) string { return fmt.Sprintf("nic%d", index) }

func nic(id, tap, mac string) []string {
	return []string{
		"-netdev", fmt.Sprintf("tap,id=%s,ifname=%s,script=no,downscript=no", id, tap),
		"-device", fmt.Sprintf("virtio-net-pci,id=%s-dev,netdev=%s,mac=%s,romfile=", id, id, mac),
	}
}
