package nodeimage

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// suite is the Debian release of the node.
const suite = "bookworm"

// diskSize is the size of the root disk; the file is sparse.
const diskSize = "6G"

// packages of the node beyond debootstrap's minimal set: what kubelet and containerd call, and what a test
// wants to look with.
var packages = []string{
	"systemd", "systemd-sysv", "dbus", "containerd", "runc", "containernetworking-plugins", "ca-certificates",
	"iproute2", "iptables", "nftables", "kmod", "ipvsadm", "conntrack", "ethtool", "socat", "util-linux", "mount",
	"procps", "iputils-ping", "iputils-arping", "tcpdump", "strace",
}

// masked units cost boot time on an emulated processor and do nothing for a node.
var masked = []string{
	"getty.target", "console-getty.service", "getty@.service", "serial-getty@.service", "systemd-logind.service",
	"systemd-update-utmp.service", "systemd-update-utmp-runlevel.service", "systemd-networkd.service", "systemd-resolved.service",
	"systemd-firstboot.service", "systemd-pcrphase.service", "systemd-pcrphase-sysinit.service", "systemd-random-seed.service",
	"systemd-journal-flush.service", "systemd-journal-catalog-update.service", "ldconfig.service",
	"apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer", "e2scrub_reap.service", "fstrim.timer",
	"systemd-tmpfiles-clean.timer", "sys-kernel-debug.mount", "dev-hugepages.mount", "dev-mqueue.mount",
}

// enabled units, by their target's wants directory.
var enabled = []string{"containerd.service", "kubelet.service", "cluster-service.service"}

// discarded parts of the installed system: half of its size, none of its function.
var discarded = []string{
	"var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/i18n", "usr/share/info",
}

//go:embed all:files
var files embed.FS

// digest identifies the image: it changes with everything that goes into it.
func digest(kubelet, pause string) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, layoutVersion, suite, diskSize, strings.Join(packages, ","), strings.Join(masked, ","),
		strings.Join(enabled, ","), strings.Join(discarded, ","))
	err := fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(path)
		fmt.Fprintln(h, path, len(body))
		h.Write(body)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, path := range []string{kubelet, pause} {
		if err := hashFile(h, path); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16], nil
}

func hashFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
