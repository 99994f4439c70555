// Package proxy is the proxy role: it serves what the agent passes over the keeper's socket with
// the layer 7 engine, and checks the health of its own servers, so that it goes on while the
// agent is down.
//
// It may import dataplane/checks, dataplane/keeper, dataplane/l7 and dataplane/model.
package proxy
