package com.example;

import org.apache.cassandra.db.ColumnFamilyStore;
import org.apache.cassandra.index.sasi.SASIIndex;
import org.apache.cassandra.schema.IndexMetadata;

/** A kind of index of a user's. */
public class Words extends SASIIndex {
    public Words(ColumnFamilyStore table, IndexMetadata config) {
        super(table, config);
    }
}
