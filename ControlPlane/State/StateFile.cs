using System.Text.Json;

namespace NetKernel.ControlPlane.State;

/// <summary>state.json, replaced as a whole by rename, so that a reader never sees half of it.</summary>
internal sealed class StateFile(string path)
{
    public void Save(PlatformState state)
    {
        string temporary = path + ".new";
        using (FileStream stream = new(temporary, new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite,
        }))
        {
            JsonSerializer.Serialize(stream, state, StateJson.Default.PlatformState);
        }

        File.Move(temporary, path, overwrite: true);
    }

    public PlatformState Load() => File.Exists(path)
        ? JsonSerializer.Deserialize(File.ReadAllBytes(path), StateJson.Default.PlatformState) ?? new PlatformState()
        : new PlatformState();
}
