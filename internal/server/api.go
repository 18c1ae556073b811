package server

import (
	"context"
	"reflect"
	"time"

	"plague"
	"plague/internal/auth"
	"plague/internal/wire"
	"plague/internal/xmlrpc"
)

// UserMethods are the calls of the users' door. The caller's e-mail comes from
// the certificate (wire.Caller); nothing in a call can change it.
func (s *Server) UserMethods() []xmlrpc.Method {
	return append(s.legacyMethods(), []xmlrpc.Method{
		method(wire.CallSubmit, "Asks for a build of an SRPM named by its SHA-256; answers whether it has to be uploaded first.", "struct", s.submitOrTell),
		method(wire.CallJobs, "Lists jobs, those submitted last first; takes a filter.", "array", s.jobs),
		method(wire.CallJob, "Gives one job with its arch jobs.", "struct", s.job),
		method(wire.CallWhy, "Says why a job is as it is: what it waits for and until when, why it failed, who killed it.", "struct", s.whyJob),
		method(wire.CallKill, "Stops a job. Legal until it is published.", "string", s.kill),
		method(wire.CallRequeueJob, "Begins another run of a failed or killed job.", "string", s.requeue),
		method(wire.CallFinishJob, "Ends a job's wait for its signature: it was released elsewhere.", "string", s.finish),
		method(wire.CallRetireJob, "Takes a published job's RPMs out of their repository with the next snapshot; takes uid and why.", "string", s.retire),
		method(wire.CallSetPriority, "Changes the priority of a job that has not come to rest; takes uid and priority.", "string", s.setPriority),
		method(wire.CallSetPaused, "Pauses the farm: jobs that wait go on waiting. Or lets it go on.", "string", s.setPaused),
		method(wire.CallChangeUser, "Adds, modifies or deletes a user: verb, email, words; answers with the user.", "struct", s.changeUser),
		{Name: wire.CallUsers, Signatures: [][]string{{"array"}}, Help: "Lists the users with their capabilities.", Func: s.users},
		method(wire.CallEvents, "Gives events after a cursor, waiting for one if asked to.", "struct", s.events),
		{Name: wire.CallIsPaused, Signatures: [][]string{{"boolean"}}, Help: "Says whether the farm is paused.", Func: s.isPaused},
		{Name: wire.CallCertificates, Signatures: [][]string{{"array"}}, Help: "Lists the certificates that the farm has issued or seen.", Func: s.certificates},
		method(wire.CallRevokeCertificate, "Has the certificates of a name, or that of a serial, refused from now on, and closes their connections; takes which and why.", "string", s.revoke),
		{Name: wire.CallListBuilders, Signatures: [][]string{{"array"}}, Help: "Lists the builders.", Func: s.listBuilders},
		method(wire.CallBuilder, "Shows one builder: what runs on it, and what ended there last.", "struct", s.builder),
		method(wire.CallDrainBuilder, "Keeps a builder from getting anything new; takes name and why.", "string", s.drainBuilder),
		method(wire.CallRemoveBuilder, "Takes a builder that joined by a token out of the farm, and revokes its certificates; takes name and why.", "string", s.removeBuilder),
		method(wire.CallResumeBuilder, "Ends a drain.", "string", s.resumeBuilder),
		{Name: wire.CallHooks, Signatures: [][]string{{"array"}}, Help: "Lists the hooks, and how each is.", Func: s.hooks},
		method(wire.CallHook, "Shows one hook with its last answers.", "struct", s.hook),
		method(wire.CallMailChoice, "Says of which of his jobs a user wants mail: of the caller, if none is named.", "string", s.mailChoice),
		method(wire.CallSetMailChoice, "Chooses all, failures or none for a user; takes email and choice.", "string", s.setMailChoice),
		{Name: wire.CallOutbox, Signatures: [][]string{{"array"}}, Help: "Lists the mails that wait.", Func: s.outbox},
		{Name: wire.CallUpdateBuilders, Signatures: [][]string{{"array"}}, Help: "Reads the builders of the configuration again, asks each at once, and lists them.", Func: s.updateBuilders},
		{Name: wire.CallStatus, Signatures: [][]string{{"struct"}}, Help: "Says how the farm as a whole is.", Func: s.status},
		{Name: wire.CallTargets, Signatures: [][]string{{"array"}}, Help: "Lists the targets with their aliases.", Func: s.targets},
		{Name: wire.CallWhoAmI, Signatures: [][]string{{"struct"}}, Help: "Says who the caller is and what he may do.", Func: s.whoAmI},
		{Name: wire.CallCounts, Signatures: [][]string{{"struct"}}, Help: "Gives the number of jobs in each state.", Func: s.counts},
		{Name: wire.CallAPIVersion, Signatures: [][]string{{"int"}}, Help: "Gives the version of these calls.", Func: func(context.Context, []any) (any, error) { return wire.APIVersion, nil }},
	}...)
}

// method is a call with one parameter.
func method[In, Out any](name, help, returns string, f func(context.Context, In) (Out, error)) xmlrpc.Method {
	takes := map[reflect.Kind]string{reflect.Struct: "struct", reflect.Bool: "boolean", reflect.Int64: "int", reflect.String: "string"}[reflect.TypeFor[In]().Kind()]
	return xmlrpc.Method{
		Name: name, Help: help, Signatures: [][]string{{returns, takes}},
		Func: func(ctx context.Context, params []any) (any, error) {
			var in In
			if err := wire.Param(params, 0, &in); err != nil {
				return nil, err
			}
			out, err := f(ctx, in)
			if err != nil {
				return nil, err
			}
			return xmlrpc.Marshal(out)
		},
	}
}

// may gives the caller if the act is allowed to him.
func (s *Server) may(ctx context.Context, act auth.Act, owner string) (plague.User, error) {
	u, err := s.caller(ctx)
	if err != nil {
		return u, err
	}
	return u, auth.Check(u, act, owner)
}

func (s *Server) job(ctx context.Context, uid plague.JobID) (wire.JobRecord, error) {
	if _, err := s.caller(ctx); err != nil {
		return wire.JobRecord{}, err
	}
	j, err := s.DB.Job(ctx, uid)
	if err != nil {
		return wire.JobRecord{}, err
	}
	rs, err := s.records(ctx, []plague.Job{j})
	if err != nil {
		return wire.JobRecord{}, err
	}
	r, err := s.withSource(ctx, rs[0])
	if err != nil {
		return r, err
	}
	if r, err = s.withArches(ctx, r); err != nil {
		return r, err
	}
	return s.withRetirement(ctx, r)
}

func (s *Server) setPaused(ctx context.Context, paused bool) (string, error) {
	u, err := s.may(ctx, auth.Pause, "")
	if err != nil {
		return "", err
	}
	if err := s.DB.SetPaused(ctx, time.Now(), u.Email, paused); err != nil {
		return "", err
	}
	if paused {
		return "The farm is paused: jobs that wait go on waiting, what builds goes on.", nil
	}
	return "The farm goes on.", nil
}

func (s *Server) isPaused(ctx context.Context, _ []any) (any, error) {
	if _, err := s.caller(ctx); err != nil {
		return nil, err
	}
	paused, _, err := s.DB.Paused(ctx)
	return paused, err
}

func (s *Server) whoAmI(ctx context.Context, _ []any) (any, error) {
	u, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	w := wire.WhoAmI{Email: u.Email}
	for _, c := range u.Capabilities {
		w.Capabilities = append(w.Capabilities, string(c))
	}
	return xmlrpc.Marshal(w)
}
