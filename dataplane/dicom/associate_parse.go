package dicom

import (
	"encoding/binary"
	"fmt"
)

// parseFixed reads the fixed fields; Header.Check has made sure that they are there.
func parseFixed(body []byte) (f fixedFields, items []byte) {
	f.version = binary.BigEndian.Uint16(body)
	copy(f.called[:], body[4:])
	copy(f.calling[:], body[4+aeLength:])
	return f, body[associateFixed:]
}

// parseAssociateRQ reads the body of a request. Items of unknown type are skipped, as PS3.8
// section 9.3.1 demands; application context, presentation context and user information are required.
func parseAssociateRQ(body []byte) (*AssociateRQ, error) {
	f, items := parseFixed(body)
	rq := &AssociateRQ{ProtocolVersion: f.version, CalledAE: f.called, CallingAE: f.calling}
	var user bool
	err := eachItem(items, func(kind byte, value []byte) error {
		switch kind {
		case itemApplicationContext:
			return setUID(&rq.ApplicationContext, value)
		case itemProposedContext:
			return appendParsed(&rq.Contexts, value, parseProposedContext)
		case itemUserInformation:
			return rq.User.parseOnce(&user, value)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids := checkContextIDs(rq.Contexts, func(c ProposedContext) byte { return c.ID })
	return rq, checkAssociate(rq.ApplicationContext, user, ids)
}

// parseAssociateAC reads the body of an acceptance, with the same rules.
func parseAssociateAC(body []byte) (*AssociateAC, error) {
	f, items := parseFixed(body)
	ac := &AssociateAC{ProtocolVersion: f.version, CalledAE: f.called, CallingAE: f.calling}
	var user bool
	err := eachItem(items, func(kind byte, value []byte) error {
		switch kind {
		case itemApplicationContext:
			return setUID(&ac.ApplicationContext, value)
		case itemContextResult:
			return appendParsed(&ac.Contexts, value, parseContextResult)
		case itemUserInformation:
			return ac.User.parseOnce(&user, value)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	ids := checkContextIDs(ac.Contexts, func(c ContextResult) byte { return c.ID })
	return ac, checkAssociate(ac.ApplicationContext, user, ids)
}

// checkAssociate reports what is missing from an association PDU.
func checkAssociate(context string, user bool, ids error) error {
	if context == "" {
		return fmt.Errorf("no application context item: %w", ErrMalformed)
	}
	if !user {
		return fmt.Errorf("no user information item: %w", ErrMalformed)
	}
	return ids
}

// checkContextIDs accepts 1 to 128 contexts with odd IDs, each used once (PS3.8 section 9.3.2.2).
func checkContextIDs[C any](contexts []C, id func(C) byte) error {
	if len(contexts) == 0 {
		return fmt.Errorf("no presentation context item: %w", ErrMalformed)
	}
	var seen [256]bool
	for _, c := range contexts {
		n := id(c)
		if n%2 == 0 || seen[n] {
			return fmt.Errorf("presentation context ID %d is even or used twice: %w", n, ErrMalformed)
		}
		seen[n] = true
	}
	return nil
}

// appendParsed parses one presentation context and adds it to list, up to the protocol's 128.
func appendParsed[C any](list *[]C, value []byte, parse func([]byte) (C, error)) error {
	if len(*list) == maxContexts {
		return fmt.Errorf("more than %d presentation contexts: %w", maxContexts, ErrMalformed)
	}
	c, err := parse(value)
	if err == nil {
		*list = append(*list, c)
	}
	return err
}

// contextFixed is ID, reserved, result or reserved, reserved.
const contextFixed = 4

func parseProposedContext(value []byte) (ProposedContext, error) {
	if len(value) < contextFixed {
		return ProposedContext{}, fmt.Errorf("%d bytes: %w", len(value), ErrMalformed)
	}
	c := ProposedContext{ID: value[0]}
	err := eachItem(value[contextFixed:], func(kind byte, value []byte) error {
		switch kind {
		case itemAbstractSyntax:
			return setUID(&c.AbstractSyntax, value)
		case itemTransferSyntax:
			uid, err := parseUID(value)
			c.TransferSyntaxes = append(c.TransferSyntaxes, uid)
			return err
		}
		return nil
	})
	if err == nil && (c.AbstractSyntax == "" || len(c.TransferSyntaxes) == 0) {
		err = fmt.Errorf("context %d lacks abstract or transfer syntax: %w", c.ID, ErrMalformed)
	}
	return c, err
}

// parseContextResult reads an answer. The transfer syntax of a context that was not accepted is
// not significant (PS3.8 section 9.3.3.2) and ignored, whatever it holds.
func parseContextResult(value []byte) (ContextResult, error) {
	if len(value) < contextFixed {
		return ContextResult{}, fmt.Errorf("%d bytes: %w", len(value), ErrMalformed)
	}
	c := ContextResult{ID: value[0], Result: ContextAnswer(value[2])}
	if c.Result != ContextAccepted {
		return c, nil
	}
	err := eachItem(value[contextFixed:], func(kind byte, value []byte) error {
		if kind == itemTransferSyntax {
			return setUID(&c.TransferSyntax, value)
		}
		return nil
	})
	if err == nil && c.TransferSyntax == "" {
		err = fmt.Errorf("accepted context %d lacks a transfer syntax: %w", c.ID, ErrMalformed)
	}
	return c, err
}
