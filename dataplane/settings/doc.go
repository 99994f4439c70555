// Package settings changes settings of a host for as long as they are needed, and gives them back.
//
// What a setting was is noted in a file before it is changed, so that it can be given back after
// any number of restarts. Only what is noted, and is still as it was set, is given back: a setting
// that somebody else has changed since is theirs. Some settings make the kernel write others; those
// are noted and put back with them. After a reboot settings are fresh and the notes are void.
//
// The package imports the standard library and logr.
package settings
