package wire

import (
	"context"
	"time"

	"plague"
	"plague/internal/xmlrpc"
)

// MaxWait is the longest that a sync may wait for news. Longer, and routers
// between the two begin to forget the connection.
const MaxWait = 20 * time.Second

// MaxLabels bounds the labels of one builder.
const MaxLabels = 32

// Builder is the server's end of a builder.
type Builder struct{ RPC *xmlrpc.Client }

// Sync hands over the orders and takes the report.
func (b *Builder) Sync(ctx context.Context, o plague.Orders) (plague.Report, error) {
	return call[plague.Report](ctx, b.RPC, CallSync, o)
}

// NumSlots asks how many arch jobs the builder runs at a time: whether it is there.
func (b *Builder) NumSlots(ctx context.Context) (int, error) {
	return call[int](ctx, b.RPC, CallNumSlots)
}

// Syncer is what a builder does behind its door.
type Syncer interface {
	// Sync takes orders and answers with a report: at once when it knows
	// more than the orders have seen or when newer orders come, else after
	// the orders' wait.
	Sync(ctx context.Context, o plague.Orders) (plague.Report, error)
	// Report is what Sync would answer now.
	Report() plague.Report
}

// BuilderMethods are the calls of a builder's door.
func BuilderMethods(s Syncer) []xmlrpc.Method {
	return []xmlrpc.Method{
		{
			Name: CallSync, Signatures: [][]string{{"struct", "struct"}},
			Help: "Takes the complete set of attempts the builder should have, answers with the complete set it has.",
			Func: func(ctx context.Context, params []any) (any, error) {
				var o plague.Orders
				if err := Param(params, 0, &o); err != nil {
					return nil, err
				}
				r, err := s.Sync(ctx, o)
				if err != nil {
					return nil, err
				}
				return xmlrpc.Marshal(r)
			},
		},
		{
			Name: CallNumSlots, Signatures: [][]string{{"int"}},
			Help: "How many arch jobs the builder runs at a time.",
			Func: func(context.Context, []any) (any, error) { return s.Report().Slots, nil },
		},
		{
			Name: CallSupportedArches, Signatures: [][]string{{"array"}},
			Help: "The arches the builder can build for.",
			Func: func(context.Context, []any) (any, error) { return s.Report().Arches, nil },
		},
		{
			Name: CallSupportedTargets, Signatures: [][]string{{"array"}},
			Help: "The targets the builder can build for; empty: any.",
			Func: func(context.Context, []any) (any, error) { return s.Report().Targets, nil },
		},
		{
			Name: CallBuildingJobs, Signatures: [][]string{{"array"}},
			Help: "The attempts that run, as arch job ids.",
			Func: func(context.Context, []any) (any, error) {
				ids := []any{}
				for _, a := range s.Report().Attempts {
					if !a.Phase.Ended() && a.Refused == "" {
						ids = append(ids, int(a.ArchJob))
					}
				}
				return ids, nil
			},
		},
		{
			Name: CallJobStatus, Signatures: [][]string{{"string", "int"}},
			Help: "The phase of an arch job's newest attempt on this builder; empty: it has none.",
			Func: func(_ context.Context, params []any) (any, error) {
				var id plague.ArchJobID
				if err := Param(params, 0, &id); err != nil {
					return nil, err
				}
				phase, newest := plague.Phase(""), 0
				for _, a := range s.Report().Attempts {
					if a.ArchJob == id && a.Number >= newest {
						phase, newest = a.Phase, a.Number
					}
				}
				return string(phase), nil
			},
		},
	}
}
