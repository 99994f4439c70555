package http1

// Options are what the fields about the connection ask for.
type Options struct {
	// Close and KeepAlive are the connection options of these names (RFC 9112 section 9.3).
	Close, KeepAlive bool
	// Upgrade says that the Connection field lists upgrade and an Upgrade field is there
	// (RFC 9110 section 7.8).
	Upgrade bool
}

// connection reads every Connection field and marks the fields that it nominates as Hop.
func (h *head) connection() Options {
	var o Options
	upgrade := false
	for i := range h.fields {
		if h.fields[i].ID != Connection {
			continue
		}
		for list := h.Bytes(h.fields[i].Value); list != nil; {
			var token []byte
			token, list = NextElement(list)
			switch {
			case EqualFold(token, "close"):
				o.Close = true
			case EqualFold(token, "keep-alive"):
				o.KeepAlive = true
			case EqualFold(token, "upgrade"):
				upgrade = true
			default:
				h.nominate(token)
			}
		}
	}
	o.Upgrade = upgrade && h.Find(Upgrade) != nil
	return o
}

func (h *head) nominate(name []byte) {
	if len(name) == 0 {
		return
	}
	for i := range h.fields {
		f := &h.fields[i]
		if f.ID.nominable() && equalFoldBytes(h.Bytes(f.Name), name) {
			f.Hop = true
		}
	}
}

// NextElement cuts the first element off a comma-separated list (RFC 9110 section 5.6.1) and
// takes the white space off it. rest is nil after the last element. Elements may be empty.
func NextElement(list []byte) (element, rest []byte) {
	end := len(list)
	for i, c := range list {
		if c == ',' {
			end, rest = i, list[i+1:]
			break
		}
	}
	from, to := trim(list, 0, end)
	return list[from:to], rest
}
