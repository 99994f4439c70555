package paths

import "regexp"

// passing are the elements of a set that packets have added, as nft lists them.
var passing = regexp.MustCompile(`\n\s*elements = \{[^}]*\btimeout\b[^}]*\}`)

// Lasting returns a list of rules, as nft prints it, without what packets have added to sets and
// what vanishes from there by itself.
func Lasting(rules string) string { return passing.ReplaceAllString(rules, "") }
