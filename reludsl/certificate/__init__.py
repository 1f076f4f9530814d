"""What turns a solver's word into a claim that holds without it."""

from reludsl.certificate.dual import dual_bound as dual_bound
