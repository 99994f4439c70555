// Package checks shows how soon a PACS server that fails gets no new associations, with the shipped
// defaults and one store a second through direct routing: killed, frozen, unplugged.
package checks
