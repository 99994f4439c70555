package schema

// PatternWords lets the tests ask for the words of every pattern in the schema.
var PatternWords = patternWords
