package preflight

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// flagLRO is ETH_FLAG_LRO (linux/ethtool.h).
const flagLRO = 1 << 15

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ cmd, data uint32 }

// ifreqData is struct ifreq with ifr_data.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// mergesReceived tells whether an interface has large receive offload on. An interface whose
// driver knows nothing of flags has not.
func mergesReceived(name string) (bool, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false, fmt.Errorf("open a socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	value := ethtoolValue{cmd: unix.ETHTOOL_GFLAGS}
	request := ifreqData{data: unsafe.Pointer(&value)}
	if len(name) >= unix.IFNAMSIZ {
		return false, fmt.Errorf("interface name %q is too long", name)
	}
	copy(request.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errors.Is(errno, unix.EOPNOTSUPP) {
		return false, nil
	}
	if errno != 0 {
		return false, fmt.Errorf("ask %s for its offloads: %w", name, errno)
	}
	return value.data&flagLRO != 0, nil
}
