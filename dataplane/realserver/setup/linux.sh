# ---- Nothing below this line depends on your site. ----

NAME=truepacs-realserver
ROOT=${TRUEPACS_ROOT:-} # tests install below another folder
STATE=$ROOT/var/lib/$NAME
PROGRAM=$ROOT/usr/local/sbin/$NAME
UNITS=$ROOT/etc/systemd/system
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
# network card, bond and VLAN, and what the default route leads through. Never those of containers,
# and never "all".
interfaces() {
	if [ -n "$INTERFACES" ]; then
		echo "$INTERFACES"
		return
	fi
	for path in /sys/class/net/*; do
		i=${path##*/}
		if [ "$i" = lo ] || [ ! -r "$CONF/$i/arp_ignore" ] || [ -e "$path/master" ]; then continue; fi
		[ "$(cat "$path/type")" = 1 ] || continue
		if [ -e "$path/device" ] || [ -e "$path/bonding" ] || [ -e "/proc/net/vlan/$i" ] || leads_out "$i"; then
			echo "$i"
		fi
	done
}

# A bridge, team or other interface counts if it is the way to the network.
leads_out() { [ -n "$(ip -4 route show default dev "$1" 2>/dev/null)" ]; }

boot() { cat /proc/sys/kernel/random/boot_id; }

# What we changed, one line each: "set INTERFACE FILE BEFORE NOW", "address DEVICE ADDRESS",
# "up DEVICE" and "module NAME". After a reboot everything is fresh and the lines mean nothing.
begin() {
	mkdir -p "$STATE"
	if command -v flock >/dev/null; then # one at a time
		exec 9>"$STATE/lock"
		flock 9
	fi
	if [ "$(cat "$STATE/boot" 2>/dev/null)" != "$(boot)" ]; then
		: >"$STATE/changes"
		rm -f "$STATE/rules"
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

# device_of ADDRESS: lo, but Linux throws packets away that come out of tunl0 while it has no address,
# unless nothing filters by reverse path.
device_of() {
	case $METHOD$1 in
	tunnel*:*) echo lo ;;
	tunnel*) echo tunl0 ;;
	*) echo lo ;;
	esac
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
		has "$1" "$address" && [ "$(device_of "$address")" = "$device" ] && continue
		delete_address "$device" "$address" || die "cannot remove $address from $device"
		grep -vxF "address $device $address" "$STATE/changes" >"$STATE/changes.new" || true
		mv "$STATE/changes.new" "$STATE/changes"
	done || exit 1
}

# restore gives every setting its earlier value, unless somebody changed it since.
restore() {
	grep '^set ' "$STATE/changes" | while read -r _ i file before now; do
		[ "$(cat "$CONF/$i/$file" 2>/dev/null)" = "$now" ] || continue
		echo "$before" >"$CONF/$i/$file"
	done
	sed -n 's/^up //p' "$STATE/changes" | while read -r device; do ip link set "$device" down; done
	sed -n 's/^module //p' "$STATE/changes" | while read -r module; do modprobe -r "$module" || true; done
}

# loaded prints what the firewall has of ours.
loaded() {
	for family in inet ip ip6; do
		nft -s list table $family truepacs_realserver 2>/dev/null || true
	done
}

# as_loaded tells whether the rules are those of this script, and as they were loaded.
as_loaded() {
	[ "$RULES
$(loaded)" = "$(cat "$STATE/rules" 2>/dev/null)" ]
}

rules() {
	if ! command -v nft >/dev/null; then
		[ "$METHOD" = loopback ] || die "nft is missing: install the package nftables"
		[ "$ACT" != --apply ] || say "nft is missing, so every port of the virtual address answers, not only the declared ones: install the package nftables"
		return 0
	fi
	as_loaded && return 0
	echo "$RULES" | nft -f - || die "nft refused the rules: this kernel may lack nftables' NAT"
	printf '%s\n' "$RULES" "$(loaded)" >"$STATE/rules"
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

# tunnel DEVICE MODULE
tunnel() {
	if [ ! -e "/sys/class/net/$1" ]; then
		modprobe "$2" 2>/dev/null || true
		[ -e "/sys/class/net/$1" ] || die "this kernel has no such tunnels (module $2): use direct routing on one segment"
		echo "module $2" >>"$STATE/changes"
	fi
	case $(ip -o link show dev "$1") in
	*[\<,]UP[,\>]*) ;;
	*)
		echo "up $1" >>"$STATE/changes"
		ip link set "$1" up || die "cannot switch $1 on"
		;;
	esac
}

# install_files sees to it that everything is done again after a reboot, and within half a minute
# after somebody else has undone it, as "systemctl restart nftables" does.
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
		say "this host has no systemd: have its boot start \"$PROGRAM --keep\" before the PACS, and cron every minute"
		return 0
	fi
	mkdir -p "$UNITS"
	reload=
	write_unit service service_unit
	write_unit timer timer_unit
	[ -z "$ROOT" ] || return 0
	[ -z "$reload" ] || systemctl daemon-reload
	for unit in $NAME.service $NAME.timer; do
		systemctl --quiet is-enabled "$unit" || systemctl enable --quiet "$unit"
	done
	systemctl start $NAME.timer || die "systemd did not start $NAME.timer: look at systemctl status $NAME.timer"
	sync # a power failure may come at once
}

# write_unit KIND COMMAND
write_unit() {
	if [ "$($2)" != "$(cat "$UNITS/$NAME.$1" 2>/dev/null)" ]; then
		$2 >"$UNITS/$NAME.$1" || die "cannot write $UNITS/$NAME.$1"
		reload=yes
	fi
}

service_unit() {
	cat <<-END
		[Unit]
		Description=Virtual addresses of the PACS load balancer
		After=network-online.target nftables.service
		Wants=network-online.target

		[Service]
		Type=oneshot
		ExecStart=/bin/sh /usr/local/sbin/$NAME --keep

		[Install]
		WantedBy=multi-user.target
	END
}

timer_unit() {
	cat <<-END
		[Unit]
		Description=Virtual addresses of the PACS load balancer

		[Timer]
		OnActiveSec=10
		OnUnitActiveSec=30
		AccuracySec=1

		[Install]
		WantedBy=timers.target
	END
}

# keep does what has to be done again after a reboot or a mishap; nothing if all is as it should be.
keep() {
	begin
	if [ "$METHOD" != redirect ] && [ -n "$VIPS4" ]; then
		found=$(interfaces)
		[ -n "$found" ] || die "no network card was found: write the interface that faces the load balancer into INTERFACES at the top of this script"
		for i in $found; do
			set_value "$i" arp_ignore 1
			set_value "$i" arp_announce 2
		done
	fi
	if [ "$METHOD" = tunnel ]; then
		[ -z "$VIPS4" ] || tunnel tunl0 ipip
		[ -z "$VIPS6" ] || tunnel ip6tnl0 ip6_tunnel
		# 2 is loose; the kernel obeys the larger of this and all.rp_filter, so 0 would not do.
		[ -z "$VIPS4" ] || set_value tunl0 rp_filter 2
	fi
	forget_rules "$RULES"
	rules
	if [ "$METHOD" = redirect ]; then
		forget_addresses ""
		return 0
	fi
	forget_addresses "$VIPS"
	for vip in $VIPS; do
		add_address "$(device_of "$vip")" "$vip"
	done
}

apply() {
	keep
	install_files
	say "done. Now run: sh $0 --check"
}

remove() {
	if [ -z "$ROOT" ] && [ -e "$UNITS/$NAME.timer" ]; then
		systemctl stop $NAME.timer $NAME.service
		systemctl disable --quiet $NAME.timer $NAME.service
	fi
	begin
	forget_addresses ""
	forget_rules ""
	restore
	rm -f "$UNITS/$NAME.service" "$UNITS/$NAME.timer" "$PROGRAM" "$STATE/changes" "$STATE/boot" "$STATE/rules" "$STATE/lock"
	rmdir "$STATE" 2>/dev/null || true
	[ -n "$ROOT" ] || [ ! -d /run/systemd/system ] || systemctl daemon-reload
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

check_addresses() {
	for vip in $VIPS; do
		home=$(device_of "$vip")
		[ "$METHOD" != redirect ] || home=none
		if [ "$home" != none ]; then
			if address_there "$home" "$vip"; then
				good "$vip is on $home"
			else
				bad "$vip is not on $home, so packets for it are thrown away: run --apply"
			fi
		fi
		for device in $(ip -o address show | grep -F " $vip/" | while read -r _ where _; do echo "$where"; done); do
			[ "$device" = "$home" ] || bad "$vip is on $device, where it must not be: ip address del $vip dev $device"
		done
	done
}

check_rules() {
	if ! command -v nft >/dev/null; then
		bad "nft is missing, so every port of the virtual addresses answers: install the package nftables, then run --apply"
	elif [ "$(id -u)" != 0 ]; then
		bad "only root can see the firewall: run it with sudo"
	elif as_loaded; then
		good "the rules for the declared ports are loaded"
	else
		bad "the rules for the declared ports are not loaded: run --apply"
	fi
}

check_reboot() {
	if [ ! -e "$PROGRAM" ] || ! cmp -s "$0" "$PROGRAM"; then
		bad "it is not done again after a reboot: run --apply from a file"
	elif [ -z "$ROOT" ] && [ -d /run/systemd/system ] && ! systemctl --quiet is-enabled $NAME.service; then
		bad "it is not done again after a reboot: systemctl enable $NAME.service"
	else
		good "it is done again after a reboot"
	fi
}

check() {
	check_addresses
	if [ "$METHOD" != redirect ] && [ -n "$VIPS4" ]; then
		for i in $(interfaces); do
			check_interface "$i"
		done
	fi
	if [ "$METHOD" = tunnel ] && [ -n "$VIPS4" ] && [ -e "$CONF/tunl0" ] && [ "$(effective tunl0 rp_filter)" = 1 ]; then
		bad "rp_filter of tunl0 is strict, so packets from the tunnel are thrown away: run --apply"
	fi
	check_rules
	check_reboot
	return $BAD
}

VIPS="$VIPS4${VIPS4:+ }$VIPS6"
command -v ip >/dev/null || die "the program ip is missing: install the package iproute2"
ACT=${1:-$ACT}
case $ACT in
--apply | --keep | --remove) [ "$(id -u)" = 0 ] || die "only root may do this: run it with sudo" ;;
esac
case $ACT in
--apply | --keep) [ -n "$VIPS" ] || die "this script only removes" ;;
esac
case $ACT in
--apply) apply ;;
--keep) keep ;;
--remove) remove ;;
--check) check ;;
*) die "write one of --apply, --check and --remove behind the name of this script" ;;
esac
