"""Where interactions come from and how they are read."""

from pydantic import BaseModel, ConfigDict, Field

from resprout.data.readers import Columns, IdType


class DataSettings(BaseModel):
    """The data of a run: a known name or a path, and how to read a path."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(
        default="demo", min_length=1, description="a known data set, or the path of a file or folder of interactions"
    )
    format: str | None = Field(
        default=None,
        description="csv, parquet, recbole, lists, movielens, citeulike or foursquare; recognised if not given",
    )
    user_column: str | None = Field(default=None, description="the column of user ids, if it has an unusual name")
    item_column: str | None = Field(default=None, description="the column of item ids, if it has an unusual name")
    weight_column: str | None = Field(
        default=None, description="the column of ratings or counts, if it has an unusual name"
    )
    time_column: str | None = Field(default=None, description="the column of timestamps, if it has an unusual name")
    id_type: IdType = Field(
        default="auto", description="auto: ids are integers if all of them are, else text; int or text: as it says"
    )

    @property
    def columns(self) -> Columns:
        """The column names that are given."""
        return Columns(self.user_column, self.item_column, self.weight_column, self.time_column)
