#!/bin/sh
# Prepares this Linux server to receive traffic of the PACS load balancer.
#
# Why: the load balancer passes packets on without changing the address in them, so this server must
# accept packets to the virtual address(es) below. It must never answer when somebody asks the
# network who has such an address: it would take the clients away from the load balancer.
#
#   sh this-file --check     says what is right and what is wrong; changes nothing
#   sh this-file --apply     does it, now and after every reboot; may be run again at any time
#   sh this-file --remove    takes everything back
#
# If the PACS cannot be reached after --apply: run --remove, then --check, and look at the lines
# that begin with BAD. It changes: one table of the firewall (nft list ruleset shows it).
# It never touches settings of all interfaces (net.ipv4.conf.all), which would reach further than
# the load balancing.
set -u
export LC_ALL=C

METHOD=redirect
VIPS4='192.0.2.100'
VIPS6='2001:db8::100'
# Interfaces to silence; empty: all network cards, bonds and VLANs.
INTERFACES=''
RULES='table ip truepacs_realserver
delete table ip truepacs_realserver
table ip truepacs_realserver {
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		ip daddr 192.0.2.100 tcp dport { 104, 11112 } redirect
	}
}
table ip6 truepacs_realserver
delete table ip6 truepacs_realserver
table ip6 truepacs_realserver {
	chain prerouting {
		type nat hook prerouting priority -100; policy accept;
		ip6 daddr 2001:db8::100 tcp dport { 104 } redirect
	}
}'

# ---- Nothing below this line depends on your site. ----

NAME=truepacs-realserver
ROOT=${TRUEPACS_ROOT:-} # tests install below another folder
STATE=$ROOT/var/lib/$NAME
PROGRAM=$ROOT/usr/local/sbin/$NAME
UNIT=$ROOT/etc/systemd/system/$NAME.service
CONF=/proc/sys/net/ipv4/conf
BAD=0

say() { echo "$NAME: $*"; }
die() {
	echo "$NAME: $*" >&2
	exit 1
}
bad() {
	echo "BAD  $*"
	BAD=1
}
good() { echo "ok   $*"; }

# has LIST WORD
has() {
	case " $1 " in *" $2 "*) return 0 ;; esac
	return 1
}

# The interfaces that must not answer ARP for a virtual address: those named above, or every
# network card, bond and VLAN. Never those of containers, and never "all".
interfaces() {
	if [ -n "$INTERFACES" ]; then
		echo "$INTERFACES"
		return
	fi
	for path in /sys/class/net/*; do
		i=${path##*/}
		if [ "$i" = lo ] || [ ! -r "$CONF/$i/arp_ignore" ] || [ -e "$path/master" ]; then continue; fi
		[ "$(cat "$path/type")" = 1 ] || continue
		if [ -e "$path/device" ] || [ -e "$path/bonding" ] || [ -e "/proc/net/vlan/$i" ] || bridged "$i"; then
			echo "$i"
		fi
	done
}

# A bridge counts if it is the way to the network, as on hosts of virtual machines.
bridged() {
	[ -e "/sys/class/net/$1/bridge" ] && [ -n "$(ip route show default dev "$1" 2>/dev/null)" ]
}

boot() { cat /proc/sys/kernel/random/boot_id; }

# What we changed, one line each: "set INTERFACE FILE BEFORE NOW" or "address DEVICE ADDRESS".
# After a reboot everything is fresh and the lines mean nothing.
begin() {
	mkdir -p "$STATE"
	if [ "$(cat "$STATE/boot" 2>/dev/null)" != "$(boot)" ]; then
		: >"$STATE/changes"
		boot >"$STATE/boot"
	fi
}

# set_value INTERFACE FILE VALUE: writes and remembers what was there.
set_value() {
	before=$(cat "$CONF/$1/$2") || die "interface $1 does not exist here: correct INTERFACES at the top of this script"
	[ "$before" = "$3" ] && return 0
	if ! grep -q "^set $1 $2 " "$STATE/changes"; then
		echo "set $1 $2 $before $3" >>"$STATE/changes"
	fi
	echo "$3" >"$CONF/$1/$2" || die "cannot write $CONF/$1/$2"
}

# address_there DEVICE ADDRESS
address_there() { ip -o address show dev "$1" 2>/dev/null | grep -qF " $2/"; }

add_address() {
	address_there "$1" "$2" && return 0
	echo "address $1 $2" >>"$STATE/changes"
	case $2 in
	*:*) ip address add "$2/128" dev "$1" nodad preferred_lft 0 noprefixroute ;;
	*) ip address add "$2/32" dev "$1" scope host ;;
	esac || die "cannot add $2 to $1"
}

delete_address() {
	address_there "$1" "$2" || return 0
	case $2 in
	*:*) ip address del "$2/128" dev "$1" ;;
	*) ip address del "$2/32" dev "$1" ;;
	esac
}

# forget_addresses KEEP: removes the addresses that we added and that are not in KEEP.
forget_addresses() {
	grep '^address ' "$STATE/changes" | while read -r _ device address; do
		has "$1" "$address" && [ "$device" = "$DEVICE" ] && continue
		delete_address "$device" "$address" || die "cannot remove $address from $device"
		grep -vF "address $device $address" "$STATE/changes" >"$STATE/changes.new" || true
		mv "$STATE/changes.new" "$STATE/changes"
	done || exit 1
}

# restore gives every setting its earlier value, unless somebody changed it since.
restore() {
	grep '^set ' "$STATE/changes" | while read -r _ i file before now; do
		[ "$(cat "$CONF/$i/$file" 2>/dev/null)" = "$now" ] || continue
		echo "$before" >"$CONF/$i/$file"
	done
}

rules() {
	[ -n "$RULES" ] || return 0
	if ! command -v nft >/dev/null; then
		[ "$METHOD" = loopback ] || die "nft is missing: install the package nftables"
		say "nft is missing, so every port of the virtual address answers, not only the declared ones: install the package nftables"
		return 0
	fi
	echo "$RULES" | nft -f - || die "nft refused the rules: this kernel may lack nftables' NAT"
}

# forget_rules KEEP: removes our tables but those that KEEP defines, which replaces them in one step.
forget_rules() {
	command -v nft >/dev/null || return 0
	for family in inet ip ip6; do
		case $1 in *"delete table $family truepacs_realserver"*) continue ;; esac
		if nft list table $family truepacs_realserver >/dev/null 2>&1; then
			nft delete table $family truepacs_realserver
		fi
	done
}

tunnel() {
	[ -e /sys/class/net/tunl0 ] || modprobe ipip 2>/dev/null || true
	[ -e /sys/class/net/tunl0 ] || die "this kernel has no IPIP tunnels (module ipip): use direct routing on one segment"
	ip link set tunl0 up
	# 2 is loose; the kernel obeys the larger of this and all.rp_filter, so 0 would not do.
	set_value tunl0 rp_filter 2
}

install_files() {
	if [ ! -f "$0" ]; then
		say "NOT installed for the next reboot: save this script in a file and run it from there"
		return 0
	fi
	if ! cmp -s "$0" "$PROGRAM"; then
		mkdir -p "${PROGRAM%/*}"
		if ! { cp "$0" "$PROGRAM.new" && chmod 755 "$PROGRAM.new" && mv "$PROGRAM.new" "$PROGRAM"; }; then
			die "cannot write $PROGRAM"
		fi
	fi
	if [ -z "$ROOT" ] && [ ! -d /run/systemd/system ]; then
		say "this host has no systemd: start \"$PROGRAM --apply\" at boot yourself, before the PACS"
		return 0
	fi
	if [ "$(unit)" != "$(cat "$UNIT" 2>/dev/null)" ]; then
		mkdir -p "${UNIT%/*}"
		unit >"$UNIT" || die "cannot write $UNIT"
		[ -n "$ROOT" ] || systemctl daemon-reload
	fi
	[ -n "$ROOT" ] || systemctl enable --quiet $NAME.service
}

unit() {
	cat <<-END
		[Unit]
		Description=Virtual addresses of the PACS load balancer
		After=network-online.target nftables.service
		Wants=network-online.target

		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/usr/local/sbin/$NAME --apply
		Restart=on-failure
		RestartSec=5

		[Install]
		WantedBy=multi-user.target
	END
}

apply() {
	begin
	if [ "$METHOD" != redirect ]; then
		if [ -n "$VIPS4" ]; then
			for i in $(interfaces); do
				set_value "$i" arp_ignore 1
				set_value "$i" arp_announce 2
			done
		fi
		[ "$METHOD" != tunnel ] || tunnel
	fi
	forget_rules "$RULES"
	rules
	[ "$METHOD" != redirect ] || VIPS=
	forget_addresses "$VIPS"
	for vip in $VIPS; do
		add_address "$DEVICE" "$vip"
	done
	install_files
	say "done. Now run: sh $0 --check"
}

remove() {
	begin
	forget_addresses ""
	forget_rules ""
	restore
	if [ -z "$ROOT" ] && [ -d /run/systemd/system ] && [ -e "$UNIT" ]; then
		systemctl disable --quiet $NAME.service
	fi
	rm -f "$UNIT" "$PROGRAM" "$STATE/changes" "$STATE/boot"
	rmdir "$STATE" 2>/dev/null || true
	say "removed; this server takes no more part in the load balancing"
}

# effective INTERFACE FILE: the kernel obeys the larger of the interface's value and that of "all".
effective() {
	own=$(cat "$CONF/$1/$2")
	all=$(cat "$CONF/all/$2")
	if [ "$own" -gt "$all" ]; then echo "$own"; else echo "$all"; fi
}

check_interface() {
	case $(effective "$1" arp_ignore) in
	1 | 2 | 3 | 8) good "$1 does not answer ARP for the virtual addresses" ;;
	*) bad "$1 answers ARP for the virtual addresses and takes clients away from the load balancer: run --apply" ;;
	esac
	if [ "$(effective "$1" arp_announce)" = 2 ]; then
		good "$1 does not tell others the virtual addresses"
	else
		bad "$1 tells its neighbours the virtual addresses: run --apply"
	fi
}

check() {
	if [ "$METHOD" = redirect ]; then
		for vip in $VIPS; do
			if ip -o address show | grep -qF " $vip/"; then
				bad "$vip is on this server, where it must not be: remove the address"
			fi
		done
	else
		for vip in $VIPS; do
			if address_there "$DEVICE" "$vip"; then
				good "$vip is on $DEVICE"
			else
				bad "$vip is not on $DEVICE, so packets for it are thrown away: run --apply"
			fi
		done
		if [ -n "$VIPS4" ]; then
			for i in $(interfaces); do
				check_interface "$i"
			done
		fi
	fi
	if [ "$METHOD" = tunnel ] && [ "$(effective tunl0 rp_filter)" = 1 ]; then
		bad "rp_filter of tunl0 is strict, so packets from the tunnel are thrown away: run --apply"
	fi
	if [ -n "$RULES" ] && command -v nft >/dev/null; then
		if nft list tables | grep -q ' truepacs_realserver$'; then
			good "the rules for the declared ports are loaded"
		else
			bad "the rules for the declared ports are not loaded: run --apply"
		fi
	fi
	if [ -e "$PROGRAM" ] && [ -e "$UNIT" ]; then
		good "it is done again after a reboot"
	else
		bad "it is not done again after a reboot: run --apply from a file on a host with systemd"
	fi
	return $BAD
}

VIPS="$VIPS4${VIPS4:+ }$VIPS6"
DEVICE=lo
[ "$METHOD" != tunnel ] || DEVICE=tunl0
command -v ip >/dev/null || die "the program ip is missing: install the package iproute2"
case ${1:-} in
--apply | --remove) [ "$(id -u)" = 0 ] || die "only root may do this: run it with sudo" ;;
esac
case ${1:-} in
--apply) apply ;;
--remove) remove ;;
--check) check ;;
*) die "write one of --apply, --check and --remove behind the name of this script" ;;
esac
