// Package wire is the contract between the programs: the names of the calls,
// the shapes of what they carry, the faults, and the addresses of files. Both
// ends of each protocol are here, so that neither can drift (docs/protocol.md).
package wire

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"plague"
	"plague/internal/xmlrpc"
)

// APIVersion is what api_version answers. It grows when a call changes its
// meaning; new calls and new members of a struct do not change it.
const APIVersion = 200

// RPCPath is where every XML-RPC door answers.
const RPCPath = "/RPC2"

// Calls of the users' door. Those of 2005 first: they answer (code, message,
// …) and refuse with -1, as then. Then ours, which refuse with a fault.
const (
	CallEnqueue        = "enqueue"
	CallEnqueueSRPM    = "enqueue_srpm"
	CallListJobs       = "list_jobs"
	CallDetailJob      = "detail_job"
	CallKillJob        = "kill_job"
	CallRequeue        = "requeue"
	CallFinish         = "finish"
	CallPause          = "pause"
	CallIsPaused       = "is_paused"
	CallListBuilders   = "list_builders"
	CallAPIVersion     = "api_version"
	CallSubmit         = "submit"
	CallJobs           = "jobs"
	CallJob            = "job"
	CallWhy            = "why"
	CallKill           = "kill"
	CallRequeueJob     = "requeue_job"
	CallFinishJob      = "finish_job"
	CallRetireJob      = "retire_job"
	CallBuilder        = "builder"
	CallHooks          = "hooks"
	CallHook           = "hook"
	CallMailChoice     = "mail_choice"
	CallSetMailChoice  = "set_mail_choice"
	CallOutbox         = "outbox"
	CallDrainBuilder   = "drain_builder"
	CallResumeBuilder  = "resume_builder"
	CallRemoveBuilder  = "remove_builder"
	CallSetPriority    = "set_priority"
	CallSetPaused      = "set_paused"
	CallEvents         = "events"
	CallUsers          = "users"
	CallChangeUser     = "change_user"
	CallUpdateBuilders = "update_builders"
	CallStatus         = "status"
	CallTargets        = "targets"
	CallWhoAmI         = "whoami"
	CallCounts         = "counts"
)

// Calls of a builder.
const (
	CallSync             = "sync"
	CallNumSlots         = "num_slots"
	CallSupportedArches  = "supported_arches"
	CallSupportedTargets = "supported_targets"
	CallBuildingJobs     = "building_jobs"
	CallJobStatus        = "job_status"
)

// edge is one row of the table at the farm's edge: what an error's kind means
// to those outside.
type edge struct {
	kind   error
	fault  int
	status int
	exit   int
}

// edges lists them; what is not in it is an internal error.
func edges() []edge {
	return []edge{
		{plague.ErrInvalid, 400, http.StatusBadRequest, 2},
		{plague.ErrDenied, 403, http.StatusForbidden, 3},
		{plague.ErrNotFound, 404, http.StatusNotFound, 4},
		{plague.ErrConflict, 409, http.StatusConflict, 5},
		{plague.ErrUnavailable, 503, http.StatusServiceUnavailable, 6},
	}
}

// ExitInternal is the exit code of an error that is nobody's kind.
const ExitInternal = 1

// Fault turns an error of a call into what the caller sees. An error that has
// no kind stays inside: the caller gets a number, and the log the rest.
func Fault(log *slog.Logger) func(error) *xmlrpc.Fault {
	return func(err error) *xmlrpc.Fault {
		var f *xmlrpc.Fault
		if errors.As(err, &f) {
			return f
		}
		for _, e := range edges() {
			if errors.Is(err, e.kind) {
				return &xmlrpc.Fault{Code: e.fault, Message: err.Error()}
			}
		}
		return &xmlrpc.Fault{Code: 500, Message: "internal error " + incident(log, err) + "; the server's log has the rest under this number"}
	}
}

// Status gives the HTTP status of an error and the text that may go out.
func Status(log *slog.Logger, err error) (int, string) {
	for _, e := range edges() {
		if errors.Is(err, e.kind) {
			return e.status, err.Error()
		}
	}
	return http.StatusInternalServerError, "internal error " + incident(log, err)
}

// Exit gives the exit code of an error, whether it was made here or came back
// as a fault.
func Exit(err error) int {
	var f *xmlrpc.Fault
	for _, e := range edges() {
		if errors.Is(err, e.kind) || errors.As(err, &f) && f.Code == e.fault {
			return e.exit
		}
	}
	return ExitInternal
}

// Kind gives a fault its kind back, so that callers can ask errors.Is. Other
// errors come back unchanged.
func Kind(err error) error {
	var f *xmlrpc.Fault
	if !errors.As(err, &f) {
		return err
	}
	for _, e := range edges() {
		if f.Code == e.fault {
			return plague.Refuse(e.kind, f.Message, "")
		}
	}
	return err
}

func incident(log *slog.Logger, err error) string {
	n := rand.Text()[:8]
	log.Error("internal error", "incident", n, "error", err)
	return n
}

type callerKey struct{}

// WithCaller puts the name that the client's certificate proved into the
// context of a call: a user's e-mail at the users' door, a builder's name at
// the builders'.
func WithCaller(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, callerKey{}, name)
}

// Caller gives the name that WithCaller put there.
func Caller(ctx context.Context) string {
	name, _ := ctx.Value(callerKey{}).(string)
	return name
}

// call makes one call and reads its answer into a value of the caller's type.
func call[T any](ctx context.Context, c *xmlrpc.Client, method string, params ...any) (T, error) {
	var into T
	plain := make([]any, len(params))
	for i, p := range params {
		v, err := xmlrpc.Marshal(p)
		if err != nil {
			return into, fmt.Errorf("call %s: %w", method, err)
		}
		plain[i] = v
	}
	v, err := c.Call(ctx, method, plain...)
	if err != nil {
		return into, Kind(err)
	}
	if err := xmlrpc.Unmarshal(v, &into); err != nil {
		return into, fmt.Errorf("answer of %s: %w", method, err)
	}
	return into, nil
}

// Param reads one parameter of a call.
func Param(params []any, n int, into any) error {
	if n >= len(params) {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("parameter %d is missing", n+1), "system.methodSignature tells what the call takes")
	}
	if err := xmlrpc.Unmarshal(params[n], into); err != nil {
		return plague.Refuse(plague.ErrInvalid, fmt.Sprintf("parameter %d: %v", n+1, err), "")
	}
	return nil
}
