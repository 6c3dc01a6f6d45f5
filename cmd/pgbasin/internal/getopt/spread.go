package getopt

import "strings"

// parser keeps what pflag's errors do not tell.
type parser struct {
	options []Option
	long    []string // the long options among the arguments, as they were written
}

// spread writes combined short options apart: "-zFt" becomes "-z", "-F", "t".
// pflag could take them together, but takes "-Fx=y" and "-F=t" apart at the
// equals sign, which means nothing to getopt, and silently drops what begins
// with "-test.", options of Go's test binaries.
func (p *parser) spread(args []string) []string {
	out := make([]string, 0, len(args)+4)
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(out, args[i:]...)
		case strings.HasPrefix(arg, "--"):
			p.long = append(p.long, arg)
			out = append(out, arg)
			name, _, hasValue := strings.Cut(arg[2:], "=")
			if o := p.byName(p.complete(name)); o != nil && o.Arg && !hasValue && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		case len(arg) > 1 && arg[0] == '-':
			var needsValue bool
			if out, needsValue = p.spreadShort(out, arg); needsValue && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		default:
			out = append(out, arg)
		}
	}
	return out
}

// spreadShort writes one argument apart, and tells whether the last option in
// it takes its value from the next argument.
func (p *parser) spreadShort(out []string, arg string) ([]string, bool) {
	for i := 1; i < len(arg); i++ {
		o := p.byLetter(arg[i])
		switch {
		case o == nil && arg[i] == '-':
			// By itself it would be "--", which ends the options. Behind the
			// letter before it, it is the unknown option that it is.
			return append(out[:len(out)-1], "-"+arg[i-1:i+1]), false
		case o == nil:
			return append(out, "-"+arg[i:i+1]), false
		case o.Arg && i+1 < len(arg):
			return append(out, "-"+arg[i:i+1], arg[i+1:]), false
		case o.Arg:
			return append(out, "-"+arg[i:]), true
		}
		out = append(out, "-"+arg[i:i+1])
	}
	return out, false
}

func (p *parser) byLetter(c byte) *Option {
	for i := range p.options {
		if p.options[i].Short == c && c != 0 {
			return &p.options[i]
		}
	}
	return nil
}

func (p *parser) byName(name string) *Option {
	for i := range p.options {
		if p.options[i].Long == name && name != "" {
			return &p.options[i]
		}
	}
	return nil
}
