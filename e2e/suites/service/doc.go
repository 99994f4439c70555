// Package service shows a plain host as docs/guides/plain-host.md sets it up: a Debian with systemd
// that runs the shipped unit.
package service
