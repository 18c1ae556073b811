package wire

import (
	"context"
	"time"

	"plague"
	"plague/internal/xmlrpc"
)

// Submission is what submit takes: a build of an SRPM that has been, or will
// now be, uploaded under its SHA-256.
type Submission struct {
	Package  string
	Source   string // file name as the user typed it
	Tag      string // in the target's SCM, in place of Source, SRPM and Size
	SRPM     string // SHA-256, hexadecimal
	Size     int64
	Target   string // name or alias
	After    plague.JobID
	Scratch  bool
	Priority int
}

// Submitted is the answer. With Upload set the server does not have the SRPM:
// upload it to SRPMPath(SRPM) and submit again.
type Submitted struct {
	UID     plague.JobID
	Upload  bool
	Offset  int64 // bytes of it that the server already has
	Message string
}

// ListFilter is what list_jobs takes. The first three members are the calls of
// 2005; empty members filter nothing.
type ListFilter struct {
	Status   []string
	Orderby  []string // "uid desc" (the default) or "uid": by submission
	Maxrows  int      // at most 1000; 0: 50
	Username string
	Package  string
	Target   string
	Since    int64        // submitted at or after, unix seconds; 0: any time
	Until    int64        // submitted before
	Before   plague.JobID // submitted before this job: the last of a page gives the next, when newest come first
	After    plague.JobID // submitted after this job: the same when the oldest come first
}

// ArchJobRecord is an arch job as list_jobs and detail_job show it: the
// members of 2005 (times in unix seconds), then ours.
type ArchJobRecord struct {
	Jobid         plague.ArchJobID
	ParentUid     plague.JobID
	Starttime     int64
	Endtime       int64
	Arch          string
	BuilderAddr   string
	Status        string
	BuilderStatus string
	Attempt       int
	Reason        string
}

// ArchRule says whether a job is built for an arch that its target offers, and which
// line of the spec or of the configuration decided.
type ArchRule struct {
	Arch  string
	Built bool
	Rule  string
}

// JobRecord is a job as list_jobs and detail_job show it.
type JobRecord struct {
	Uid            plague.JobID
	Package        string
	Source         string
	Username       string
	Status         string
	Starttime      int64
	Endtime        int64
	TargetDistro   string
	TargetTarget   string
	TargetRepo     string
	RpmEpoch       string
	RpmVersion     string
	RpmRelease     string
	Archjobs       []ArchJobRecord
	Target         string
	Run            int
	Scratch        bool
	WaitsFor       plague.JobID
	Priority       int
	Reason         string
	Snapshot       int64
	Results        string // path below the web's address
	Final          bool
	Resting        bool
	SubmittedAt    int64  // unix seconds; a requeue changes starttime, and not this
	SourceUrl      string // the repository that its SRPM was made of; "": it was submitted. Only `job` tells this and what follows
	SourceRevision string // git: commit id; Subversion: revision; CVS: tag
	SourceTree     string // SHA-256 of the tree
	ArchRules      []ArchRule
	RetiredAt      int64 // unix seconds; 0: it is in its repository if it was published
	RetiredBy      string
	RetiredWhy     string
	RetiredIn      int64 // the first snapshot without its RPMs; 0: not yet
}

// Reorder is what set_priority takes.
type Reorder struct {
	Uid      plague.JobID
	Priority int
}

// Retirement is what retire_job takes.
type Retirement struct {
	Uid plague.JobID
	Why string // for people; at most MaxWhy bytes
}

// MaxWhy bounds the words that an act may be explained with.
const MaxWhy = 1000

// BuilderRecord is a builder as list_builders shows it: the members of 2005,
// then ours.
type BuilderRecord struct {
	Address   string
	Arches    []string
	Alive     bool
	NumSlots  int
	FreeSlots int
	Name      string
	Suspended string
	Targets   []string
	Seen      int64 // unix seconds of the last answer; 0: never
	// Mode is passive, where servers call the builder, or active, where it dials in;
	// from where it has to the server that answers, and when, in unix seconds; 0: it has not.
	Mode        string
	DialledFrom string
	DialledAt   int64

	// Of its plague.Machine; 0: it does not say.
	Memory, FreeMemory, FreeDisk int64
	Load                         float64
	Labels                       []string
}

// BuilderDetail is what builder answers.
type BuilderDetail struct {
	BuilderRecord
	Running []BuilderAttempt
	Ended   []BuilderAttempt // the newest first
}

// BuilderAttempt is an attempt that runs on a builder, or ended there.
type BuilderAttempt struct {
	Uid       plague.JobID
	Package   string
	Arch      string
	Attempt   int
	Status    string // of what runs the arch job's state, of what ended its outcome
	Phase     string // of what runs
	Starttime int64
	Endtime   int64
	Reason    string
	Used      plague.Usage // of what ended
}

// Drain is what drain_builder and remove_builder take.
type Drain struct {
	Name string
	Why  string
}

// EventsFilter is what events takes.
type EventsFilter struct {
	Since plague.EventID // below 0: answers with where the stream ends now, and no event
	Job   plague.JobID   // 0: of all
	Limit int            // at most 1000; 0: 100
	Wait  time.Duration
}

// Events is the answer: what came after Since, and where to go on.
type Events struct {
	Events []plague.Event
	Next   plague.EventID
}

// TargetRecord is a target as targets shows it.
type TargetRecord struct {
	Target  string
	Aliases []string
}

// WhoAmI tells the caller what the server knows of him.
type WhoAmI struct {
	Email        string
	Capabilities []string
}

// FarmStatus is how the farm as a whole is.
type FarmStatus struct {
	Paused        bool
	PausedBy      string
	Jobs          map[string]int // by state
	Builders      int            // in the configuration
	Alive         int            // of them, that answer
	Suspended     int            // of them, that take nothing new
	Slots         int            // of those that answer
	FreeSlots     int
	OldestWaiting plague.JobID // 0: none waits
	WaitingSince  int64        // unix seconds
	MailsLate     int          // of which the last try failed
	HooksLate     int          // the same
	Configuration string       // why this server could not read it again, and goes on with the old; empty: it could
	Unmet         []string     // arch jobs that no builder has what they need for, and what that is; at most MaxUnmet
	Plans         Plans
}

// MaxUnmet bounds what status says of jobs that no builder can do.
const MaxUnmet = 20

// Plans is how long it took to choose builders for what waits: of the newest
// PlansKept plans of the server that answers, in milliseconds. One that has not
// planned has none.
type Plans struct {
	Count    int // since it began
	P50, P99 float64
}

// PlansKept is how many plans Plans speaks of at most.
const PlansKept = 1000

// UserChange is what change_user takes.
type UserChange struct {
	Verb  string // add, modify or delete
	Email string
	Words []string // add: capabilities; modify: +capability and -capability
}

// MaxWords bounds the words of one change.
const MaxWords = 100

// Legacy is what the calls of 2005 answer: a code (0, or -1 for a refusal), a
// message, and for some of them a third thing.
func Legacy(message string, err error, third ...any) []any {
	code := 0
	if err != nil {
		code, message = -1, err.Error()
	}
	return append([]any{code, message}, third...)
}

// User is a client's end of the users' door.
type User struct{ RPC *xmlrpc.Client }

// Submit asks for a build.
func (u *User) Submit(ctx context.Context, s Submission) (Submitted, error) {
	return call[Submitted](ctx, u.RPC, CallSubmit, s)
}

// Events waits for events and gives them.
func (u *User) Events(ctx context.Context, f EventsFilter) (Events, error) {
	return call[Events](ctx, u.RPC, CallEvents, f)
}

// ListBuilders lists the builders.
func (u *User) ListBuilders(ctx context.Context) ([]BuilderRecord, error) {
	return call[[]BuilderRecord](ctx, u.RPC, CallListBuilders)
}

// Builder shows one builder.
func (u *User) Builder(ctx context.Context, name string) (BuilderDetail, error) {
	return call[BuilderDetail](ctx, u.RPC, CallBuilder, name)
}

// DrainBuilder keeps a builder from getting anything new and says so.
func (u *User) DrainBuilder(ctx context.Context, in Drain) (string, error) {
	return call[string](ctx, u.RPC, CallDrainBuilder, in)
}

// ResumeBuilder ends a drain and says so.
func (u *User) ResumeBuilder(ctx context.Context, name string) (string, error) {
	return call[string](ctx, u.RPC, CallResumeBuilder, name)
}

// RemoveBuilder takes a builder that joined by a token out of the farm and says so.
func (u *User) RemoveBuilder(ctx context.Context, in Drain) (string, error) {
	return call[string](ctx, u.RPC, CallRemoveBuilder, in)
}

// UpdateBuilders has the server read its builders again, and lists them.
func (u *User) UpdateBuilders(ctx context.Context) ([]BuilderRecord, error) {
	return call[[]BuilderRecord](ctx, u.RPC, CallUpdateBuilders)
}

// Users lists all users; it needs modify_users.
func (u *User) Users(ctx context.Context) ([]plague.User, error) {
	return call[[]plague.User](ctx, u.RPC, CallUsers)
}

// ChangeUser adds, changes or deletes a user and gives what came of him.
func (u *User) ChangeUser(ctx context.Context, in UserChange) (plague.User, error) {
	return call[plague.User](ctx, u.RPC, CallChangeUser, in)
}

// Targets lists the targets that jobs are built for.
func (u *User) Targets(ctx context.Context) ([]TargetRecord, error) {
	return call[[]TargetRecord](ctx, u.RPC, CallTargets)
}

// WhoAmI asks what the server knows of the caller.
func (u *User) WhoAmI(ctx context.Context) (WhoAmI, error) {
	return call[WhoAmI](ctx, u.RPC, CallWhoAmI)
}

// Counts gives the number of jobs in each state.
func (u *User) Counts(ctx context.Context) (map[string]int, error) {
	return call[map[string]int](ctx, u.RPC, CallCounts)
}

// Status asks how the farm as a whole is.
func (u *User) Status(ctx context.Context) (FarmStatus, error) {
	return call[FarmStatus](ctx, u.RPC, CallStatus)
}

// IsPaused asks whether the farm starts new jobs.
func (u *User) IsPaused(ctx context.Context) (bool, error) {
	return call[bool](ctx, u.RPC, CallIsPaused)
}

// Jobs lists jobs, newest first.
func (u *User) Jobs(ctx context.Context, f ListFilter) ([]JobRecord, error) {
	return call[[]JobRecord](ctx, u.RPC, CallJobs, f)
}

// Job gives one job.
func (u *User) Job(ctx context.Context, uid plague.JobID) (JobRecord, error) {
	return call[JobRecord](ctx, u.RPC, CallJob, uid)
}

// Why asks why a job is as it is.
func (u *User) Why(ctx context.Context, uid plague.JobID) (plague.Why, error) {
	return call[plague.Why](ctx, u.RPC, CallWhy, uid)
}

// Kill stops one job and says what was done.
func (u *User) Kill(ctx context.Context, uid plague.JobID) (string, error) {
	return call[string](ctx, u.RPC, CallKill, uid)
}

// Requeue begins another run of a failed or killed job and says so.
func (u *User) Requeue(ctx context.Context, uid plague.JobID) (string, error) {
	return call[string](ctx, u.RPC, CallRequeueJob, uid)
}

// Finish ends a job's wait for its signature and says so.
func (u *User) Finish(ctx context.Context, uid plague.JobID) (string, error) {
	return call[string](ctx, u.RPC, CallFinishJob, uid)
}

// SetPriority has a job go before or after others and says so.
func (u *User) SetPriority(ctx context.Context, in Reorder) (string, error) {
	return call[string](ctx, u.RPC, CallSetPriority, in)
}

// Retire has a published job's RPMs leave their repository and says so.
func (u *User) Retire(ctx context.Context, in Retirement) (string, error) {
	return call[string](ctx, u.RPC, CallRetireJob, in)
}

// SetPaused stops new jobs from starting, or lets them start again.
func (u *User) SetPaused(ctx context.Context, paused bool) (string, error) {
	return call[string](ctx, u.RPC, CallSetPaused, paused)
}
