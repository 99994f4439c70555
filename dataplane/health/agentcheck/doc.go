// Package agentcheck reads what an agent on a real server answers in HAProxy's agent-check protocol
// (HAProxy configuration manual, server option agent-check): one line of ASCII words, separated by
// spaces, tabs or commas, in any order and case. Bytes in, values out; no sockets.
//
// It is stricter than HAProxy: an unknown word, a number out of range, or two words that
// contradict each other make the whole line an error, and nothing of it counts.
//
// It imports the standard library only.
package agentcheck
