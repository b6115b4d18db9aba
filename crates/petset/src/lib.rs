//! PetSet controller: a PetSet becomes an apps/v1 StatefulSet.
