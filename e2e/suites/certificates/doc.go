// Package certificates shows how certificates of a layer 7 service are replaced, with openssl as the
// witness: a renewed one is served within seconds, a bad one never, nothing that is open is cut, and status
// and metrics tell what is wrong and when something ends.
package certificates
