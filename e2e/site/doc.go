// Package site builds a small hospital in the lab: a director that is a virtual machine with
// its own kernel, two PACS servers, modalities and a viewer on one LAN, all with the shipped
// binary and shipped defaults. The demonstration and the suites play on it.
package site
