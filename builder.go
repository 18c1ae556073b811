package plague

import "time"

// A Builder is a machine's daemon that runs arch jobs, as the server knows it:
// its name and address come from the configuration, the rest from its reports.
type Builder struct {
	Name      string // in its certificate, and in the option builders
	Address   string // https://host:port
	Instance  string // random name of the running daemon; two alive under one name suspend the builder
	Alive     bool   // it answered within its lease
	Suspended string // why it takes nothing new; empty: it does
	Arches    []string
	Targets   []string // patterns of the targets it builds for, such as fedora-*-extras; empty: any
	Slots     int
	Free      int
	Machine   Machine
	SeenAt    time.Time // its last answer
}

// Orders are all that the server wants of one builder: state, not commands, so
// that a lost, doubled or late message changes nothing. The builder refuses
// orders that are older than the newest it has seen: another farm's, a lower
// term's, or a lower sequence of the same term.
type Orders struct {
	Farm     string
	Term     int64
	Sequence int64
	Software string        // version of the server's program; empty: it does not say
	Instance string        // of the report that Seen counts in
	Seen     int64         // version of the newest report the server has; the builder answers at once when it knows more
	Wait     time.Duration // how long the builder may wait for news before it answers
	Attempts []Order
}

// Verb is what orders say of one attempt.
type Verb string

const (
	VerbRun    Verb = "run"    // run it, or go on with it
	VerbStop   Verb = "stop"   // stop it, and keep what it has until told to forget
	VerbForget Verb = "forget" // its files are safe elsewhere or not wanted: delete them
)

// An Order is what the server wants of one attempt.
type Order struct {
	AttemptID
	Verb Verb
	Work *Work // with VerbRun; nil otherwise
}

// Work is what a builder has to know to run an attempt.
type Work struct {
	Job       JobID
	Run       int
	Kind      Kind
	Package   string
	Target    string
	Arch      string
	RootArch  string   // of the buildroot: Arch, the base arch of its family, or for noarch one that the builder has
	SRPM      Artifact // with kind build
	Tag       string   // with kind srpm: what the packager named
	SCM       *SCM     // with kind srpm: where it is
	Repos     []WorkRepo
	Buildroot []string          // what every buildroot has, such as @buildsys-build
	Macros    map[string]string // rpm macros of the target
	Timeout   time.Duration     // of the whole attempt; 0: the builder's own
}

// Machine is the arch that the builder has to offer: a buildroot for i386 takes
// builds for i686 on a machine that does those.
func (w *Work) Machine() string {
	if Anywhere(w.Arch) {
		return w.RootArch
	}
	return w.Arch
}

// A WorkRepo is a repository at the state the run is pinned to.
type WorkRepo struct {
	ID     string
	URL    string
	Repomd string // SHA-256 of its repomd.xml, hexadecimal
	Own    bool   // the farm's own: served by the server under its CA
}

// A Report is all that a builder runs and has finished.
type Report struct {
	Builder   string
	Instance  string
	Version   int64  // grows with every change within one instance
	Software  string // version of the program; empty: it does not say
	Farm      string // whose orders it obeys; empty: it has had none
	Term      int64
	Sequence  int64
	Slots     int
	Arches    []string
	Emulated  []string  // of Arches: an emulator runs their programs, slowly
	Targets   []string  // patterns, see TakesTarget
	Suspended string    // why it takes nothing new; empty: it does
	Free      int64     // bytes left on the disk that builds use
	Now       time.Time // by the builder's clock
	Attempts  []AttemptReport

	// Of its Machine; left out by builders that do not know.
	Memory, FreeMemory int64
	Load               float64
	Labels             []string
}

// An AttemptReport is what a builder says of one attempt it has.
type AttemptReport struct {
	AttemptID
	Phase     Phase
	Refused   string     // why it was not taken up; empty: it was
	Failure   *Failure   // with PhaseFailed
	Pinned    *Pinned    // with kind srpm: what was fetched; nil: nothing yet
	Artifacts []Artifact // with PhaseDone and PhaseFailed: everything it keeps, logs too
	BegunAt   time.Time
	EndedAt   time.Time // zero: it runs
	Used      *Usage    // nil: it was not measured
}
