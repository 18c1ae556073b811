// Package xmlrpc is the XML-RPC codec, the HTTP handler and the client. It
// follows the specification of 1999 (http://xmlrpc.com/spec.md) with the
// extensions nil and i8, and knows no method but those of system.
//
// A value is one of nil, bool, int, float64, string, time.Time, []byte, []any
// and map[string]any. Decoding gives nothing else. Encoding takes whatever
// Marshal takes and turns it into these.
package xmlrpc

import "fmt"

// Codes of faults that the handler itself answers with, from Dan Libby's
// "Specification for Fault Code Interoperability".
const (
	CodeParse         = -32700 // the body is not an XML-RPC call, or breaks a limit
	CodeUnknownMethod = -32601
	CodeBadParams     = -32602
	CodeInternal      = -32603
)

// A Fault is an answer that says no. Client.Call returns it as an error; a
// method that returns one chooses the code that its caller sees.
type Fault struct {
	Code    int
	Message string
}

func (f *Fault) Error() string { return fmt.Sprintf("%s (fault %d)", f.Message, f.Code) }

// limits bound what a document may cost. Sizes are in bytes.
type limits struct {
	body   int64
	depth  int // arrays and structs inside each other
	values int
	text   int // one string, name or base64 text
}

// defaultLimits let a list of 1,000 jobs with their arch jobs pass (60,000
// values, 6 MiB) with room to spare.
func defaultLimits() limits {
	return limits{body: 16 << 20, depth: 64, values: 200_000, text: 8 << 20}
}
