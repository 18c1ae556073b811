package notify

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// errReach says that an address is not one to call.
var errReach = errors.New("not called")

// closed are networks in which a call from the server would reach what the
// server alone is trusted with: its own services, its neighbours on the cable,
// and where clouds keep a machine's credentials.
func closed() []netip.Prefix {
	var all []netip.Prefix
	for _, p := range []string{
		"0.0.0.0/8", "::/128", "127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10", "224.0.0.0/4", "240.0.0.0/4", "ff00::/8",
		"fd00:ec2::254/128", "100.100.100.200/32", "64:ff9b::/96", "2002::/16",
	} {
		all = append(all, netip.MustParsePrefix(p))
	}
	return all
}

// may says whether an address may be called. It is asked with the address that
// the connection goes to, after every name was looked up.
func (h *Hook) may(ip netip.Addr) error {
	ip = ip.Unmap().WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(ip) }
	if slices.ContainsFunc(h.Allow, in) {
		return nil
	}
	if slices.ContainsFunc(closed(), in) {
		return fmt.Errorf("%w: %s is local to the server; the hook's allow= can name it", errReach, ip)
	}
	if strings.HasPrefix(h.URL, "http:") {
		return fmt.Errorf("%w: %s is none of the addresses that http:// may go to", errReach, ip)
	}
	return nil
}

// client calls one hook and nothing else: no proxy, no redirect, no cookie.
func (h *Hook) client(timeout time.Duration) *http.Client {
	dialer := net.Dialer{Timeout: timeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("%w: %w", errReach, err)
		}
		return h.may(at.Addr())
	}}
	return &http.Client{
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: timeout, ForceAttemptHTTP2: true,
			MaxIdleConns: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 16 << 10, DisableCompression: true,
		},
	}
}

// unwrapURL leaves the hook's address out of an error: it may hold a token.
func unwrapURL(err error) error {
	var e *url.Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}
