// Package refusals shows that no manifest takes a service down: bad ones are refused with the field
// and the remedy, by a real API server and by `truepacs run`, while good services on the same node
// go on; and that nothing goes when the API server loses the definitions, the agent's rights or
// all its data.
package refusals
