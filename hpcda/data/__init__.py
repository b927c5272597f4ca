"""Tables of numbers from csv, npy, npz, HDF5 and netCDF files, read column by column.

What a file says of its columns (scale factors, fill values, valid ranges, dimensions) is applied; what
could mean two things (a first row that may be names or numbers, an array whose sides may both be time, a
number that looks like a mark of a missing value) is refused, with what to write in the job.
"""

from hpcda.data.files import SUFFIXES, read_table
from hpcda.data.table import SHOWN, Column, Table, Values, more

__all__ = ["SHOWN", "SUFFIXES", "Column", "Table", "Values", "more", "read_table"]
