// Package cmd holds the commands of the program; each file is one command and thin: it reads
// flags and calls the package that does the work.
package cmd
