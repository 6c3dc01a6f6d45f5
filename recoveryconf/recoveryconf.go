// Package recoveryconf writes what tells a server how to recover: parameters
// with their quoting, and the files they belong in, by server version.
package recoveryconf

import (
	"bytes"
	"slices"
	"strings"
)

// Names of the files in a data directory.
const (
	AutoConf       = "postgresql.auto.conf" // parameters; those of recovery from 12 on
	RecoveryConf   = "recovery.conf"        // parameters of recovery up to 11; from 12 on it stops the server from starting
	RecoverySignal = "recovery.signal"      // from 12 on, empty: recover from the archive
	StandbySignal  = "standby.signal"       // from 12 on, empty: start as a standby, whether there is RecoverySignal or not
)

// ParametersVersion is the first version (as PQserverVersion counts) in which
// recovery is configured by ordinary parameters and signal files.
const ParametersVersion = 120000

// Param is a parameter with its unquoted value.
type Param struct {
	Name, Value string
}

// Params are parameters in the order in which they are written.
type Params []Param

func (p Params) has(name string) bool {
	return slices.ContainsFunc(p, func(param Param) bool { return fold(param.Name) == fold(name) })
}

// Render returns the parameters as lines of a configuration file.
func (p Params) Render() []byte {
	var b bytes.Buffer
	for _, param := range p {
		b.WriteString(param.Name)
		b.WriteString(" = ")
		b.WriteString(Quote(param.Value))
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Quote returns value as a quoted string of a configuration file: quotes and
// backslashes are doubled, as by PostgreSQL's escape_single_quotes_ascii. A
// newline, which would end the line within the string, is written as "\n".
func Quote(value string) string {
	return "'" + quoter.Replace(value) + "'"
}

var quoter = strings.NewReplacer("'", "''", `\`, `\\`, "\n", `\n`)

// Files is a recovery configuration as it is laid out in a data directory.
type Files struct {
	Name     string // the file for the parameters: AutoConf or RecoveryConf
	Append   bool   // Contents go to the end of the file; else they replace it
	Contents []byte
	Signal   string // an empty file that must exist beside it; "" for none
}

// Standby returns the configuration that makes a server of this version
// (150018) a standby with the given parameters, as pg_basebackup -R writes it.
// The version is that of the server which will run on the data directory.
func Standby(version int, p Params) Files {
	if version < ParametersVersion {
		p = append(Params{{"standby_mode", "on"}}, p...)
		return Files{Name: RecoveryConf, Contents: p.Render()}
	}
	return Files{Name: AutoConf, Append: true, Contents: p.Render(), Signal: StandbySignal}
}

// Primary returns the parameters by which a standby follows its primary:
// the connection string (see conninfo's PrimaryConnInfo) and the replication
// slot, which may be "" for none and needs 9.4.
func Primary(connInfo, slot string) Params {
	p := Params{{"primary_conninfo", connInfo}}
	if slot != "" {
		p = append(p, Param{"primary_slot_name", slot})
	}
	return p
}
