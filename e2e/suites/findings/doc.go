// Package findings provokes every misconfiguration that the product looks for, one by one, on a
// working site with the shipped binary and defaults: `truepacs status` must name each, with the
// hosts concerned and what to do, and must not any more once it is put right.
package findings
