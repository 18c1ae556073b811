package store

import (
	"fmt"
	"strings"
	"testing"
)

// TestPayload: others hear what is told, the teller itself does not, and what is too
// long for one notification becomes everything.
func TestPayload(t *testing.T) {
	one, other := &DB{origin: "@one"}, &DB{origin: "@other"}
	text := one.payload(map[Topic]bool{TopicJobs: true, OrdersOf("b1"): true})
	if got := other.heard(text); !got[TopicJobs] || !got[OrdersOf("b1")] || got[TopicOrders] {
		t.Errorf("of %q is heard %v", text, got)
	}
	if got := one.heard(text); len(got) > 0 {
		t.Errorf("of %q the teller hears %v", text, got)
	}
	if got := one.heard("jobs,queue"); !got[TopicJobs] || !got[TopicQueue] {
		t.Errorf("of a server of the version before is heard %v", got)
	}
	many := map[Topic]bool{}
	for i := range 1000 {
		many[OrdersOf(fmt.Sprint("builder", i))] = true
	}
	text = one.payload(many)
	if got := other.heard(text); len(text) >= 8000 || !got[TopicOrders] || !strings.Contains(text, "orders") {
		t.Errorf("of a thousand topics %d bytes are told: %v", len(text), got)
	}
}
