package preflight

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// FlagLRO is ETH_FLAG_LRO (linux/ethtool.h): large receive offload is on.
const FlagLRO = 1 << 15

// ethtoolValue is struct ethtool_value.
type ethtoolValue struct{ cmd, data uint32 }

// ifreqData is struct ifreq with ifr_data.
type ifreqData struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte
}

// driverFlags asks the driver of an interface; one that knows nothing of flags has none.
func driverFlags(name string) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open a socket: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	value := ethtoolValue{cmd: unix.ETHTOOL_GFLAGS}
	request := ifreqData{data: unsafe.Pointer(&value)}
	if len(name) >= unix.IFNAMSIZ {
		return 0, fmt.Errorf("interface name %q is too long", name)
	}
	copy(request.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	if errors.Is(errno, unix.EOPNOTSUPP) {
		return 0, nil
	}
	if errno != 0 {
		return 0, fmt.Errorf("ask %s for its offloads: %w", name, errno)
	}
	return value.data, nil
}
