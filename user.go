package plague

import "slices"

// A Capability is one thing a user may do.
type Capability string

const (
	OwnJobs     Capability = "own_jobs"     // build; kill, requeue and finish one's own jobs
	KillAnyJob  Capability = "kill_any_job" // the same for anybody's
	ModifyUsers Capability = "modify_users" // the user calls
	ServerAdmin Capability = "server_admin" // pause, update_builders, drain, sign
)

// Capabilities lists them in the order of 2005.
func Capabilities() []Capability {
	return []Capability{OwnJobs, KillAnyJob, ModifyUsers, ServerAdmin}
}

// ParseCapability reads a capability by its name of the README or by the one
// that later versions of the original used.
func ParseCapability(name string) (Capability, bool) {
	switch name {
	case "job_admin":
		return KillAnyJob, true
	case "user_admin":
		return ModifyUsers, true
	}
	c := Capability(name)
	return c, slices.Contains(Capabilities(), c)
}

// A User is a person, known by the e-mail in the certificate.
type User struct {
	Email        string
	Capabilities []Capability
}

// Can says whether the user has the capability.
func (u *User) Can(c Capability) bool { return slices.Contains(u.Capabilities, c) }
